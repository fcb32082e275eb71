//! The paths that a source file names, wherever they stand, also within macros and attributes.
//! Those that begin with `crate::` or climb by `super::` are imports.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use std::iter::Peekable;
use syn::visit::{self, Visit};
use syn::{Attribute, ItemExternCrate, ItemMod, ItemUse, LitStr, Path, UseTree, VisRestricted};

/// A path that a file names.
#[derive(Debug)]
pub(crate) struct Named {
    /// The module that it is named in, from the root of the crate on; inline modules count.
    pub(crate) module: Vec<String>,
    pub(crate) written: Vec<String>,
    /// Counted from 1.
    pub(crate) line: usize,
}

impl Named {
    /// The path from the root of the crate on, without `crate`; none if it is not written from
    /// there or by `super` or `self`. Empty for the root itself.
    pub(crate) fn absolute(&self) -> Option<Vec<String>> {
        let mut path = match self.written.first()?.as_str() {
            "crate" => Vec::new(),
            "super" | "self" => self.module.clone(),
            _ => return None,
        };
        for segment in &self.written {
            match segment.as_str() {
                "super" => drop(path.pop()),
                "crate" | "self" => {}
                name => path.push(name.to_owned()),
            }
        }
        Some(path)
    }
}

/// The paths that `file` names, whose items live in the module of that path.
pub(crate) fn paths(module: &[String], file: &syn::File) -> Vec<Named> {
    let mut walk = Walk { module: module.to_vec(), is_in_attribute: false, found: Vec::new() };
    walk.visit_file(file);
    walk.found
}

struct Walk {
    /// Where the walk is.
    module: Vec<String>,
    is_in_attribute: bool,
    found: Vec<Named>,
}

impl Walk {
    fn note(&mut self, written: Vec<String>, span: Span) {
        let (module, line) = (self.module.clone(), span.start().line);
        self.found.push(Named { module, written, line });
    }

    /// Notes each path of a tree of a `use`; `written` is what stands before it.
    fn note_tree(&mut self, written: &[String], tree: &UseTree) {
        let with = |name: String| [written, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.note_tree(&with(path.ident.to_string()), &path.tree),
            UseTree::Name(name) => self.note(with(name.ident.to_string()), name.ident.span()),
            UseTree::Rename(name) => self.note(with(name.ident.to_string()), name.ident.span()),
            UseTree::Glob(glob) => self.note(with("*".to_owned()), glob.star_token.span),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.note_tree(written, tree));
            }
        }
    }

    /// Notes each path of tokens that syn leaves as they are.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(ident) if ident == "pub" => skip_restriction(&mut tokens),
                TokenTree::Ident(ident) => {
                    self.note_path(vec![ident.to_string()], ident.span(), &mut tokens);
                }
                TokenTree::Group(group) => self.note_tokens(group.stream()),
                TokenTree::Literal(literal) if self.is_in_attribute => {
                    let text = syn::parse_str::<LitStr>(&literal.to_string());
                    if let Ok(path) = text.and_then(|text| text.parse::<Path>()) {
                        self.note(segments(&path), literal.span());
                    }
                }
                _ => {}
            }
        }
    }

    /// Notes the path that goes on from `written`, or the paths if it ends in a group.
    fn note_path(&mut self, mut written: Vec<String>, span: Span, tokens: &mut Tokens) {
        while takes_colons(tokens) {
            match tokens.peek() {
                Some(TokenTree::Ident(ident)) => written.push(ident.to_string()),
                Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
                    written.push("*".to_owned());
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let mut inner = group.stream().into_iter().peekable();
                    tokens.next();
                    while let Some(token) = inner.next() {
                        if let TokenTree::Ident(ident) = token {
                            if ident == "as" {
                                inner.next();
                                continue;
                            }
                            let one = [&written[..], &[ident.to_string()]].concat();
                            self.note_path(one, ident.span(), &mut inner);
                        }
                    }
                    return;
                }
                _ => break,
            }
            tokens.next();
        }
        // Alone it is that of `pub(crate)`.
        if written != ["crate"] {
            self.note(written, span);
        }
    }
}

type Tokens = Peekable<proc_macro2::token_stream::IntoIter>;

/// Passes over `::` if it comes next.
fn takes_colons(tokens: &mut Tokens) -> bool {
    let is_colon =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':');
    tokens.next_if(is_colon).is_some() && tokens.next_if(is_colon).is_some()
}

/// Passes over `(in path)` if it comes next.
fn skip_restriction(tokens: &mut Tokens) {
    tokens.next_if(|token| match token {
        TokenTree::Group(group) => {
            let first = group.stream().into_iter().next();
            matches!(first, Some(TokenTree::Ident(word)) if word == "in")
        }
        _ => false,
    });
}

fn segments(path: &Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.note_tree(&[], &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast ItemExternCrate) {
        if item.ident == "self" {
            self.note(vec!["crate".to_owned()], item.ident.span());
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.note(segments(path), path.segments[0].ident.span());
        visit::visit_path(self, path);
    }

    /// `pub(in crate::x)` says who may look, and imports nothing.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if !attribute.path().is_ident("doc") {
            self.is_in_attribute = true;
            visit::visit_attribute(self, attribute);
            self.is_in_attribute = false;
        }
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.note_tokens(tokens.clone());
    }
}
