use std::io::Write;

use super::*;
use crate::partition::fingerprint::ReadAt;
use crate::source::content::Content;

fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    match packing {
        Packing::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Zstd => zstd::encode_all(bytes, 1).unwrap(),
    }
}

/// All that can be read in a file that holds `bytes`, and what is wrong with its end.
fn read(packing: Packing, bytes: &[u8]) -> (Vec<u8>, Option<String>) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let mut content = Content::new(file, name_of(packing), &Memory::new(64 << 20));
    let (mut all, mut chunk) = (Vec::new(), [0; 1000]);
    loop {
        match content.read_at(&mut chunk, all.len() as u64).unwrap() {
            0 => return (all, content.damage().map(str::to_owned)),
            read => all.extend_from_slice(&chunk[..read]),
        }
    }
}

fn name_of(packing: Packing) -> &'static str {
    match packing {
        Packing::Gzip => "a.csv.gz",
        Packing::Zstd => "a.csv.zst",
    }
}

fn numbers(count: u32) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("{n},{}\n", n.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

#[test]
fn members_and_frames_are_read_one_behind_the_other() {
    let text = numbers(50_000);
    for packing in [Packing::Gzip, Packing::Zstd] {
        let (one, two) = text.split_at(300_001);
        let bytes = [packed(packing, one), packed(packing, b""), packed(packing, two)].concat();
        assert_eq!(read(packing, &bytes), (text.clone(), None));
        assert_eq!(read(packing, b""), (Vec::new(), None), "an empty file");
    }
}

#[test]
fn what_stands_before_a_cut_or_damage_is_read() {
    let text = numbers(50_000);
    for packing in [Packing::Gzip, Packing::Zstd] {
        let whole = packed(packing, &text);
        for len in [1, 10, whole.len() / 2, whole.len() - 1] {
            let (read, damage) = read(packing, &whole[..len]);
            assert!(text.starts_with(&read));
            assert!(damage.unwrap().contains("break off"), "{packing:?} {len}");
        }
        let (half, _) = read(packing, &whole[..whole.len() / 2]);
        assert!(half.len() > text.len() / 4, "{packing:?}: {} bytes", half.len());
        let (all, damage) = read(packing, &[whole.as_slice(), b"no packed data"].concat());
        assert!(all == text && damage.unwrap().contains("damaged"), "{packing:?}");
        let damage = read(packing, b"event_id,user_id\n1,2\n").1.unwrap();
        assert!(damage.contains("data are damaged"), "{damage}");
    }
}

#[test]
fn any_place_can_be_read() {
    let text = numbers(50_000);
    for packing in [Packing::Gzip, Packing::Zstd] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&packed(packing, &text)).unwrap();
        let mut content = Content::new(file, name_of(packing), &Memory::new(64 << 20));
        for offset in [400_000, 0, 7, 500_000, 499_999] {
            let mut bytes = [0; 5];
            assert_eq!(content.read_at(&mut bytes, offset).unwrap(), 5);
            let offset = usize::try_from(offset).unwrap();
            assert_eq!(bytes, text[offset..offset + 5]);
        }
        let end = text.len() as u64;
        assert!(content.ends_at(end).unwrap() && !content.ends_at(end - 1).unwrap());
        assert!(content.ends_at(end + 1).unwrap());
    }
}

#[test]
fn names_and_first_bytes_tell_the_packing() {
    assert_eq!(Packing::of("a.csv.GZ"), Some(Packing::Gzip));
    assert_eq!(Packing::of("a.zst"), Some(Packing::Zstd));
    assert_eq!(["a.csv", "gz", "a.gz.csv"].map(Packing::of), [None; 3]);
    for packing in [Packing::Gzip, Packing::Zstd] {
        assert_eq!(Packing::of_bytes(&packed(packing, b"a")), Some(packing));
    }
}

/// A file of one line that zstd packs with a window of `1 << log` bytes.
fn with_window(log: u32) -> std::fs::File {
    let mut encoder = zstd::Encoder::new(tempfile::tempfile().unwrap(), 1).unwrap();
    encoder.window_log(log).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(b"a,b\n").unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_window_is_in_memory_that_is_shared() {
    let memory = Memory::new(15 << 20);
    let read = |file: &std::fs::File| {
        let file = file.try_clone().unwrap();
        let mut content = Content::new(file, "a.csv.zst", &memory);
        let mut bytes = [0; 10];
        content.read_at(&mut bytes, 0).map(|read| (bytes[..read].to_vec(), content))
    };
    let (small, large) = (with_window(23), with_window(24));
    let (bytes, mut content) = read(&small).unwrap();
    assert_eq!(bytes, b"a,b\n");
    // There will be room for another, but not now.
    assert_eq!(read(&small).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    content.put_down();
    assert_eq!(memory.free(), memory.capacity());
    assert_eq!(read(&small).unwrap().0, b"a,b\n");
    let (bytes, content) = read(&large).unwrap();
    assert_eq!(bytes, b"");
    let damage = content.damage().unwrap();
    assert!(damage.contains("a window of up to 32 MiB") && damage.contains("the setting memory"));
}

#[test]
fn a_frame_declares_its_window() {
    for log in [17, 23, 24, 27] {
        let mut header = [0; FRAME_HEADER_BYTES];
        let read = (&mut &with_window(log)).read_at(&mut header, 0).unwrap();
        assert_eq!(declared_window(&header[..read]), Some(1 << log));
    }
    // Of one segment: all of its content is the window.
    let single = zstd::bulk::compress(&[b'a'; 1000], 1).unwrap();
    assert_eq!(declared_window(&single), Some(1000));
    assert_eq!(declared_window(&single[..5]), None);
    assert_eq!(declared_window(b"id,note\n"), None);
}
