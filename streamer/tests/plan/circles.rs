//! Files that import each other in a circle. An import leads to the file that defines what it
//! names, even if other modules pass it on. A module may use the modules below it: such an import
//! makes no circle.

use crate::imports::{Named, paths};
use crate::shown;
use crate::tree::File;
use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use syn::{Item, UseTree};

/// How many `use` in a row are followed, each of which passes a name on.
const PASSED_ON_MAX: usize = 16;

/// What a module has names for.
#[derive(Default)]
struct Scope {
    /// Place of its file among the files.
    file: usize,
    defined: BTreeSet<String>,
    /// Names that a `use` brings, each with the path from the root of the crate on.
    used: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

/// The modules of the crate, inline ones too, by their paths.
struct Scopes(BTreeMap<Vec<String>, Scope>);

impl Scopes {
    fn of(files: &[File]) -> Scopes {
        let mut scopes = Scopes(BTreeMap::new());
        for (place, file) in files.iter().enumerate() {
            scopes.define(place, &file.module, &file.syntax.items);
        }
        for file in files {
            scopes.bring(&file.module, &file.syntax.items);
        }
        scopes
    }

    /// Notes what the items define.
    fn define(&mut self, file: usize, module: &[String], items: &[Item]) {
        let mut scope = Scope { file, ..Scope::default() };
        for item in items {
            let name = match item {
                Item::Const(item) => &item.ident,
                Item::Enum(item) => &item.ident,
                Item::Fn(item) => &item.sig.ident,
                Item::Static(item) => &item.ident,
                Item::Struct(item) => &item.ident,
                Item::Trait(item) => &item.ident,
                Item::Type(item) => &item.ident,
                Item::Mod(item) => {
                    if let Some((_, items)) = &item.content {
                        self.define(file, &[module, &[item.ident.to_string()]].concat(), items);
                    }
                    continue;
                }
                _ => continue,
            };
            scope.defined.insert(name.to_string());
        }
        self.0.insert(module.to_vec(), scope);
    }

    /// Notes what the `use` items bring.
    fn bring(&mut self, module: &[String], items: &[Item]) {
        for item in items {
            match item {
                Item::Use(item) => self.bring_tree(module, &[], &item.tree),
                Item::Mod(item) => {
                    if let Some((_, items)) = &item.content {
                        self.bring(&[module, &[item.ident.to_string()]].concat(), items);
                    }
                }
                _ => {}
            }
        }
    }

    fn bring_tree(&mut self, module: &[String], written: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [written, &[name.to_string()]].concat();
        let (name, written) = match tree {
            UseTree::Path(path) => return self.bring_tree(module, &with(&path.ident), &path.tree),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.bring_tree(module, written, tree));
            }
            UseTree::Name(name) if name.ident == "self" => (written.last(), written.to_vec()),
            UseTree::Name(name) => (Some(&name.ident.to_string()), with(&name.ident)),
            UseTree::Rename(name) => (Some(&name.rename.to_string()), with(&name.ident)),
            UseTree::Glob(_) => (None, written.to_vec()),
        };
        let named = Named { module: module.to_vec(), written, line: 0 };
        let Some(path) = self.absolute(&named) else { return };
        let scope = self.0.get_mut(module).expect("its items were defined");
        match name {
            Some(name) => drop(scope.used.insert(name.clone(), path)),
            None => scope.globs.push(path),
        }
    }

    /// The path from the root of the crate on, also of one that begins with a module below or with
    /// a name that a `use` brings; none if it leads out of the crate.
    fn absolute(&self, named: &Named) -> Option<Vec<String>> {
        if let Some(path) = named.absolute() {
            return Some(path);
        }
        let (first, rest) = named.written.split_first()?;
        let below = [&named.module[..], slice::from_ref(first)].concat();
        let scope = self.0.get(&named.module)?;
        match scope.used.get(first) {
            Some(path) => Some([&path[..], rest].concat()),
            None if self.0.contains_key(&below) => Some([&below[..], rest].concat()),
            None if scope.defined.contains(first) => None,
            None => {
                let mut by_glob =
                    scope.globs.iter().map(|path| [path, &named.written[..]].concat());
                by_glob.find(|path| self.definer(path, 0).is_some())
            }
        }
    }

    /// The file that defines what the path names; none if it names a module.
    fn definer(&self, path: &[String], passed_on: usize) -> Option<usize> {
        let depth = (0..path.len()).take_while(|&depth| self.0.contains_key(&path[..=depth]));
        let (module, rest) = path.split_at(depth.count());
        let scope = self.0.get(module)?;
        let (name, rest) = rest.split_first()?;
        if scope.defined.contains(name) || name == "*" {
            return Some(scope.file);
        }
        if passed_on == PASSED_ON_MAX {
            return None;
        }
        let further = |path: &[String]| self.definer(&[path, rest].concat(), passed_on + 1);
        let by_name = scope.used.get(name).and_then(|path| further(path));
        let with_name = |glob: &Vec<String>| further(&[&glob[..], slice::from_ref(name)].concat());
        by_name.or_else(|| scope.globs.iter().find_map(with_name))
    }
}

/// An import that counts: the line that names it, and how it is written there.
type Edge = (usize, String);

/// For each file those that it imports, but for those of modules below its own.
fn edges(files: &[File]) -> Vec<BTreeMap<usize, Edge>> {
    let scopes = Scopes::of(files);
    let imported = |(place, file): (usize, &File)| {
        let mut imported = BTreeMap::new();
        for named in paths(&file.module, &file.syntax) {
            let path = scopes.absolute(&named);
            let Some(other) = path.and_then(|path| scopes.definer(&path, 0)) else { continue };
            if other != place && !files[other].module.starts_with(&file.module) {
                imported.entry(other).or_insert((named.line, named.written.join("::")));
            }
        }
        imported
    };
    files.iter().enumerate().map(imported).collect()
}

/// The circles, each in words: the files that reach each other, and what leads from one to the
/// next.
pub(crate) fn circles(files: &[File]) -> Vec<String> {
    let edges = edges(files);
    let reached: Vec<BTreeSet<usize>> =
        (0..files.len()).map(|start| reached_from(start, &edges)).collect();
    let mut circles = BTreeSet::new();
    for (file, reached_by_it) in reached.iter().enumerate() {
        let leads_back = |other: &usize| reached[*other].contains(&file);
        let circle: Vec<usize> = reached_by_it.iter().copied().filter(leads_back).collect();
        circles.insert(circle);
    }
    let name = |file: usize| shown(&files[file].path);
    let in_words = |circle: Vec<usize>| {
        let mut words = format!("a circle of {} files:", circle.len());
        for &from in &circle {
            for (&to, (line, written)) in edges[from].iter().filter(|(to, _)| circle.contains(to)) {
                words += &format!("\n  {}:{line}: {written}: {}", name(from), name(to));
            }
        }
        words
    };
    circles.into_iter().filter(|circle| !circle.is_empty()).map(in_words).collect()
}

/// All files that one leads to, itself only if it is in a circle.
fn reached_from(start: usize, edges: &[BTreeMap<usize, Edge>]) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<usize> = edges[start].keys().copied().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(edges[file].keys());
        }
    }
    reached
}
