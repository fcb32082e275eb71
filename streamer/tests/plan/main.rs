//! The plan of the house in ARCHITECTURE.md, held against the code.
//!
//! Every module of lib.rs stands on exactly one floor, and a file imports only modules of lower
//! floors and its own. Code for tests counts as any other. Nor do files import each other in a
//! circle, but for what their tests import.

mod circles;
mod floors;
mod imports;
mod smuggled;
mod tree;

use floors::Floors;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Display, Path};
use syn::Item;
use tree::{File, Tests};

/// The house has more files and more edges from a file to a module. A walk that finds fewer is
/// broken.
const FILES_MIN: usize = 180;
const EDGES_MIN: usize = 330;

/// What was read and what is wrong with it.
#[derive(Debug, Default)]
struct Findings {
    /// Pairs of a file and another module that it imports.
    edges: usize,
    violations: Vec<String>,
}

/// Holds `files` against the floors.
fn hold(floors: &Floors, files: &[File]) -> Findings {
    let mut findings = Findings::default();
    for file in files {
        let Some(importer) = file.module.first() else { continue };
        let mut imported = BTreeSet::new();
        for named in imports::paths(&file.module, &file.syntax) {
            let Some(path) = named.absolute() else { continue };
            let module = path.first().map_or("the root of the crate", String::as_str);
            if module != importer {
                imported.insert(module.to_owned());
            }
            if let Some(objection) = floors.objection(importer, module) {
                let place = format!("{}:{}", shown(&file.path), named.line);
                let violation = format!("{place}: `{importer}` imports `{module}`: {objection}");
                findings.violations.push(violation);
            }
        }
        findings.edges += imported.len();
    }
    findings.violations.dedup();
    findings
}

/// A path as messages give it, from the folder of the crate on.
fn shown(path: &Path) -> Display<'_> {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display()
}

/// What is wrong with the modules of lib.rs.
fn mismatches(floors: &Floors, lib: &syn::File) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut declared = BTreeSet::new();
    for item in &lib.items {
        match item {
            Item::Mod(item) if item.content.is_none() => {
                declared.insert(item.ident.to_string());
            }
            _ => wrong.push("lib.rs holds something else than declarations of modules".to_owned()),
        }
    }
    let without_floor = declared.iter().filter(|module| floors.floor_of(module).is_none());
    wrong.extend(without_floor.map(|module| format!("`{module}` of lib.rs stands on no floor")));
    let missing = floors.modules().filter(|module| !declared.contains(*module));
    wrong.extend(missing.map(|module| format!("there is a floor for `{module}`, but no module")));
    wrong
}

#[test]
fn every_import_leads_to_a_lower_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("../ARCHITECTURE.md")).unwrap();
    let floors = Floors::read(&document).unwrap();
    let src = root.join("src");
    let files = tree::files(&src, Tests::With);
    let Findings { edges, mut violations } = hold(&floors, &files);
    violations.extend(mismatches(&floors, &files[0].syntax));
    let undeclared = tree::undeclared(&src, &files);
    violations.extend(undeclared.iter().map(|path| format!("{} is of no module", shown(path))));
    println!("{} files and {edges} edges from a file to a module were read", files.len());
    assert!(files.len() >= FILES_MIN, "only {} files were read", files.len());
    assert!(edges >= EDGES_MIN, "only {edges} edges were read");
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let circles = circles::circles(&tree::files(&src, Tests::Without));
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}
