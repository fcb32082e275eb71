//! `streamer simulator`: a page in one file, which sends events to a streamer from wherever it is
//! opened.

use anyhow::Result;

use super::{Exit, print};

/// The page, but for the script that it shares with the live page.
const PAGE: &str = include_str!("simulator.html");

/// That script. It imports nothing, so it can stand within another.
const SENDER: &str = include_str!("../../http/page/js/sender.js");

/// Where it stands in the page.
const PLACE: &str = "/* sender.js */";

/// Prints the page.
pub(super) fn run() -> Result<Exit> {
    print(&page())
}

fn page() -> String {
    PAGE.replacen(PLACE, SENDER, 1)
}

#[cfg(test)]
mod tests {
    use super::{PLACE, SENDER, page};

    #[test]
    fn the_page_needs_no_other_file() {
        let page = page();
        assert!(page.contains(SENDER) && !page.contains(PLACE));
        // What ends a script within HTML, whatever stands around it.
        assert_eq!(page.matches("</script").count(), 1);
        for reference in ["import ", " src=", "<link"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }
}
