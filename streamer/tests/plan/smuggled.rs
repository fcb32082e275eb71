//! A test of the test: imports that try to hide, and circles, are found.

use crate::circles::circles;
use crate::floors::Floors;
use crate::imports::{Named, paths};
use crate::tree::File;
use crate::{hold, mismatches};
use std::path::PathBuf;

const HOUSE: &str = "# A\n\n## The house\n\nFrom the top down:\n\n```text\n\
                     command\nengine, http\nsink\nsql, limit\n```\n\n```\nother\n```\n";

fn path(text: &str) -> Vec<String> {
    text.split("::").map(str::to_owned).collect()
}

/// What `source` imports as a file of `sink::rows`, each with its line.
fn found(source: &str) -> Vec<(String, usize)> {
    let named = paths(&path("sink::rows"), &syn::parse_file(source).unwrap());
    let import = |named: &Named| Some((named.absolute()?.join("::"), named.line));
    named.iter().filter_map(import).collect()
}

/// The violations of `source` as a file of `sink::rows`.
fn violations(source: &str) -> Vec<String> {
    let syntax = syn::parse_file(source).unwrap();
    let file = File { path: PathBuf::from("rows.rs"), module: path("sink::rows"), syntax };
    hold(&Floors::read(HOUSE).unwrap(), &[file]).violations
}

#[test]
fn a_smuggled_import_is_found_wherever_it_hides() {
    for source in [
        "use crate::command;",
        "use crate::command::*;",
        "pub(crate) use crate::command as harmless;",
        "use super::super::command::x;",
        "use self::super::super::command::x;",
        "use crate::{sql, command as c};",
        "use crate::{sql::{quote, x}, command::{self, y}};",
        "use {std::fmt, crate::command::x};",
        "fn f() { crate::command::run() }",
        "fn f() { super::super::command::run() }",
        "fn f() { use crate::command; }",
        "fn f() -> Vec<crate::command::X> { g::<crate::command::X>() }",
        "fn f(x: X) { let crate::command::X { .. } = x; }",
        "impl crate::command::Runs for X {}",
        "struct X<T: crate::command::Runs>(T);",
        "crate::command::declare!();",
        "fn f() { format!(\"{}\", crate::command::X); }",
        "fn f() { m!(a => { b: [super::super::command::x(1)] }); }",
        "m! { use crate::{sql::{quote as q}, command as c}; }",
        "macro_rules! m { () => { $crate::command::run() } }",
        "#[error(\"no {}\", crate::command::words(.0))] struct X;",
        "#[serde(with = \"crate::command::words\")] struct X;",
        "#[cfg(test)] mod tests { use super::super::super::command; }",
        "#[cfg(test)] mod tests { mod deeper { fn f() { crate::command::run() } } }",
    ] {
        let violations = violations(&format!("\n{source}"));
        assert_eq!(violations.len(), 1, "{source}: {violations:?}");
        let expected =
            "rows.rs:2: `sink` imports `command`: floor 4 (command) is above floor 2 (sink)";
        assert_eq!(violations[0], expected, "{source}");
    }
}

#[test]
fn the_root_itself_is_no_way_around() {
    for source in [
        "use crate as root;",
        "use crate::{self as root};",
        "use super::super as root;",
        "extern crate self as root;",
    ] {
        let violations = violations(source);
        let expected = "`sink` imports `the root of the crate`";
        assert!(violations.len() == 1 && violations[0].contains(expected), "{violations:?}");
    }
    assert_eq!(violations("use crate::*;").len(), 1);
}

#[test]
fn what_imports_nothing_is_left_alone() {
    for source in [
        "pub(in crate::command) fn f() {}",
        "pub(crate) struct X { pub(super) x: u8, pub(in crate::command) y: u8 }",
        "m! { pub(in crate::command) fn f() {} pub(crate) fn g() {} }",
        "/// See [`crate::command`].\nfn f() {}",
        "// crate::command\nfn f() -> &'static str { \"crate::command\" }",
        "use std::fmt; use rows::x; fn f() { command::run() }",
    ] {
        assert_eq!(found(source), [], "{source}");
    }
}

#[test]
fn own_and_lower_modules_may_be_imported() {
    let source = "use super::Sink;\nuse crate::sink::careful;\nuse crate::sql::quote;\n\
                  fn f() { crate::limit::g() }\nmod tests { use super::*; }";
    let expected = [
        ("sink::Sink", 1),
        ("sink::careful", 2),
        ("sql::quote", 3),
        ("limit::g", 4),
        ("sink::rows::*", 5),
    ];
    assert_eq!(found(source), expected.map(|(path, line)| (path.to_owned(), line)));
    assert_eq!(violations(source), [""; 0]);
}

#[test]
fn modules_of_one_floor_do_not_import_each_other() {
    let floors = Floors::read(HOUSE).unwrap();
    let objection = floors.objection("sql", "limit").unwrap();
    assert!(objection.contains("both are on floor 1 (sql, limit)"), "{objection}");
    assert_eq!(floors.objection("sql", "sql"), None);
    assert_eq!(floors.objection("command", "sql"), None);
    assert!(floors.objection("command", "other").unwrap().contains("`other` stands on no floor"));
}

#[test]
fn the_floors_and_lib_rs_name_the_same_modules_once() {
    let floors = Floors::read(HOUSE).unwrap();
    let lib = |text: &str| syn::parse_file(text).unwrap();
    let all = "mod command; pub mod engine; mod http; mod limit; pub mod sink; mod sql;";
    assert_eq!(mismatches(&floors, &lib(all)), [""; 0]);
    let other = mismatches(&floors, &lib(&format!("{all} mod attic;")));
    assert_eq!(other, ["`attic` of lib.rs stands on no floor"]);
    let missing = mismatches(&floors, &lib(&all.replace("mod http;", "")));
    assert_eq!(missing, ["there is a floor for `http`, but no module"]);
    assert_eq!(mismatches(&floors, &lib(&format!("{all} pub use sql::quote;"))).len(), 1);
    assert!(Floors::read(&HOUSE.replace("limit", "sink")).unwrap_err().contains("`sink` stands"));
    assert!(Floors::read("# A\n\n```\nsql\n```\n").is_err());
}

/// A crate of these modules, each with its source.
fn files(sources: &[(&str, &str)]) -> Vec<File> {
    let file = |(module, source): &(&str, &str)| File {
        path: PathBuf::from(format!("{module}.rs")),
        module: path(module),
        syntax: syn::parse_file(source).unwrap(),
    };
    sources.iter().map(file).collect()
}

#[test]
fn a_circle_of_files_is_found_through_what_passes_it_on() {
    for source in [
        "use super::X;",
        "use super::*;\nfn f(_: X) {}",
        "use crate::sink::X;",
        "use super::super::sink;\nfn f(_: sink::X) {}",
        "use super::rows;\nfn f() { m!(rows::X) }",
    ] {
        let files = files(&[
            ("sink", "mod keys; mod rows; pub use rows::*; fn f(_: X) {}"),
            ("sink::keys", &format!("{source}\npub struct Y;")),
            ("sink::rows", "use super::keys::Y as Z;\npub struct X(Z);"),
        ]);
        let circles = circles(&files);
        assert_eq!(circles.len(), 1, "{source}: {circles:?}");
        assert!(circles[0].starts_with("a circle of 2 files:\n  sink::keys.rs:"), "{circles:?}");
        let back = "  sink::rows.rs:1: super::keys::Y: sink::keys.rs";
        assert!(circles[0].ends_with(back), "{circles:?}");
    }
}

#[test]
fn a_module_that_uses_what_is_below_it_is_no_circle() {
    let files = files(&[
        ("sink", "mod keys; pub struct X; pub struct Y(keys::Y);"),
        ("sink::keys", "use super::X;\npub struct Y(X);"),
    ]);
    assert_eq!(circles(&files), [""; 0]);
}
