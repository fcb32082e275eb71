//! The source files of the crate, found by following the `mod` declarations from lib.rs on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::slice;
use syn::{Expr, ExprLit, Item, ItemMod, Lit, Meta};

/// A source file and the module that its items live in.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    /// From the root of the crate on; empty for lib.rs.
    pub(crate) module: Vec<String>,
    pub(crate) syntax: syn::File,
}

/// Whether code for tests is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tests {
    With,
    /// Items under `#[cfg(test)]` are left out.
    Without,
}

/// All files of the crate whose lib.rs is below `src`, lib.rs first.
///
/// # Panics
/// If a file cannot be read or parsed.
pub(crate) fn files(src: &Path, tests: Tests) -> Vec<File> {
    let mut files = Vec::new();
    read(src.join("lib.rs"), Vec::new(), src, tests, &mut files);
    files
}

/// The `.rs` files below `src` that no `mod` declares, but for main.rs, which stands above the
/// house.
pub(crate) fn undeclared(src: &Path, files: &[File]) -> Vec<PathBuf> {
    let known: BTreeSet<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    let all = walkdir::WalkDir::new(src).into_iter().map(|entry| entry.unwrap().into_path());
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    all.filter(is_source)
        .filter(|path| !known.contains(path.as_path()) && *path != src.join("main.rs"))
        .collect()
}

/// Reads the file at `path` and those that it declares; they are below `folder` unless they say
/// where.
fn read(path: PathBuf, module: Vec<String>, folder: &Path, tests: Tests, files: &mut Vec<File>) {
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    if tests == Tests::Without {
        syntax.items.retain(|item| !is_for_tests(item));
    }
    let place = files.len();
    files.push(File { path, module, syntax });
    let mut declared = Vec::new();
    find_declared(&files[place].syntax.items, &files[place].module, folder, &mut declared);
    for (child, module, folder) in declared {
        let beside = files[place].path.with_file_name("");
        let path = match child {
            Some(named) => beside.join(named),
            None => {
                let flat = folder.with_extension("rs");
                if flat.exists() { flat } else { folder.join("mod.rs") }
            }
        };
        read(path, module, &folder, tests, files);
    }
}

/// A declared module: the path that its attribute gives, its module, and the folder of its
/// children.
type Declared = (Option<String>, Vec<String>, PathBuf);

fn find_declared(items: &[Item], module: &[String], folder: &Path, found: &mut Vec<Declared>) {
    for item in items {
        let Item::Mod(item) = item else { continue };
        let name = item.ident.to_string();
        let inner = [module, slice::from_ref(&name)].concat();
        let folder = folder.join(name);
        match &item.content {
            Some((_, items)) => find_declared(items, &inner, &folder, found),
            None => found.push((path_of(item), inner, folder)),
        }
    }
}

fn is_for_tests(item: &Item) -> bool {
    let attributes = match item {
        Item::Fn(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

/// What `#[path = "…"]` says.
fn path_of(item: &ItemMod) -> Option<String> {
    item.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(path), .. }) => Some(path.value()),
            _ => None,
        },
        _ => None,
    })
}
