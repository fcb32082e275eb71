//! Has the embedded migrations rebuilt when a file is added to the folder, and lists the files of
//! the page.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The folder of the page's files.
const PAGE: &str = "src/http/page";

/// What a browser is told that a file is, by the ending of its name. A file of another ending is
/// not served.
const TYPES: [(&str, &str); 5] = [
    ("css", "text/css; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("svg", "image/svg+xml"),
];

fn main() {
    println!("cargo::rerun-if-changed=../migrations");
    println!("cargo::rerun-if-changed={PAGE}");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the folder"));
    let page = root.join(PAGE);
    let mut files = Vec::new();
    list(&page, &mut files);
    files.sort();
    let mut table = "[\n".to_owned();
    for file in files {
        let name = file.strip_prefix(&page).expect("it is below the folder");
        let ending = file.extension().and_then(|ending| ending.to_str());
        let kind = TYPES.iter().find(|(of, _)| Some(*of) == ending);
        if let Some((_, kind)) = kind {
            let name = format!("/page/{}", name.display());
            writeln!(table, "    ({name:?}, {kind:?}, include_bytes!({file:?}) as &[u8]),")
                .expect("a string takes everything");
        }
    }
    table += "]\n";
    let place = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names a place"));
    fs::write(place.join("page_files.rs"), table).expect("write the table of the page's files");
}

/// All files below `folder`, which need not be there.
fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => list(&path, files),
            false => files.push(path),
        }
    }
}
