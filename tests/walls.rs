//! The walls of docs/architecture.md that no lint can hold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};
use proc_macro2::{TokenStream, TokenTree};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The crates, each of which may use those before it.
const CRATES: [&str; 8] = ["syntax", "text", "message", "sticky", "balance", "config", "proxy", "limpet"];
/// Those that know neither a socket nor a runtime.
const PURE_CRATES: [&str; 6] = ["syntax", "text", "message", "sticky", "balance", "config"];
/// The rooms of `proxy`, each of which may use those before it.
const ROOMS: [&str; 10] = ["clock", "recode", "route", "log", "wire", "upstream", "front", "http", "build", "worker"];
/// Those that never wait.
const PURE_ROOMS: [&str; 4] = ["clock", "recode", "route", "log"];
/// Where Pingora may be named.
const PINGORAS_ROOM: &str = "http/carry/pingora/";

/// A crate and what it uses.
struct Package {
    name: String,
    uses: BTreeSet<String>,
}

/// What `cargo` says that the crates use, tests aside.
fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().expect("metadata");
    let of = |package: &cargo_metadata::Package| {
        let uses = package.dependencies.iter().filter(|used| used.kind == DependencyKind::Normal);
        let own = |name: &str| name.trim_start_matches("limpet-").to_owned();
        Package { name: own(&package.name), uses: uses.map(|used| own(&used.name)).collect() }
    };
    metadata.packages.iter().map(of).filter(|package| package.name != "tests").collect()
}

/// What is wrong with the crates.
fn faults_of_crates(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for Package { name, uses } in packages {
        let Some(place) = CRATES.iter().position(|other| other == name) else {
            faults.push(format!("{name} has no place among the crates"));
            continue;
        };
        for used in uses {
            if CRATES.iter().position(|other| other == used).is_some_and(|other| other >= place) {
                faults.push(format!("{name} uses {used}"));
            }
            let foreign = ["tokio", "pingora", "socket2", "log", "rand"].contains(&used.as_str());
            if foreign && PURE_CRATES.contains(&name.as_str()) {
                faults.push(format!("{name} is pure and uses {used}"));
            }
        }
    }
    faults
}

/// What a source names: the modules at the root of its crate, and other crates.
#[derive(Default)]
struct Named {
    rooms: BTreeSet<String>,
    words: BTreeSet<String>,
}

/// Reads a source without its tests. `path` is that of its module, so that `super` can be followed.
fn named_in(source: &str, path: &[String]) -> Named {
    let mut file = syn::parse_file(source).expect("a source that compiles");
    file.items.retain(|item| match item {
        syn::Item::Mod(module) => !module.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg") && quote::quote!(#attribute).to_string().contains("test")
        }),
        _ => true,
    });
    let mut named = Named::default();
    walk(quote::quote!(#file), path, &mut named);
    named
}

fn walk(tokens: TokenStream, path: &[String], named: &mut Named) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => walk(group.stream(), path, named),
            TokenTree::Ident(ident) => {
                let word = ident.to_string();
                let mut up = 0;
                let mut next = at;
                while let Some(TokenTree::Ident(ident)) = tokens.get(next) {
                    match ident.to_string().as_str() {
                        "crate" => up = path.len(),
                        "super" => up += 1,
                        _ => break,
                    }
                    next += 3;
                }
                let is_root = next > at && (word == "crate" || up >= path.len());
                if is_root && next <= tokens.len() {
                    first_words(tokens.get(next), &mut named.rooms);
                    at = next;
                    continue;
                }
                named.words.insert(word);
            }
            _ => {}
        }
        at += 1;
    }
}

/// The word that a path goes on with, or those at the beginning of each path in a group.
fn first_words(token: Option<&TokenTree>, words: &mut BTreeSet<String>) {
    match token {
        Some(TokenTree::Ident(ident)) => {
            words.insert(ident.to_string());
        }
        Some(TokenTree::Group(group)) => {
            let mut is_first = true;
            for token in group.stream() {
                match &token {
                    TokenTree::Punct(punct) if punct.as_char() == ',' => is_first = true,
                    token => {
                        if std::mem::take(&mut is_first) {
                            first_words(Some(token), words);
                        }
                    }
                }
            }
        }
        _ => {}
    }
}

/// What is wrong with a source of `proxy`; `file` is its path below `src`.
fn faults_of_source(file: &str, source: &str) -> Vec<String> {
    let mut path: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    let room = path.first().cloned().unwrap_or_default();
    let named = named_in(source, &path);
    let mut faults = Vec::new();
    if named.words.contains("pingora") && !file.starts_with(PINGORAS_ROOM) && file != "http/carry/mod.rs" {
        faults.push(format!("{file} names Pingora"));
    }
    if room == "lib" {
        return faults;
    }
    let Some(place) = ROOMS.iter().position(|other| *other == room) else {
        faults.push(format!("{file} is in no room"));
        return faults;
    };
    if named.words.contains("tokio") && PURE_ROOMS.contains(&room.as_str()) {
        faults.push(format!("{file} is in a pure room and uses tokio"));
    }
    for used in &named.rooms {
        if ROOMS.iter().position(|other| other == used).is_some_and(|other| other > place) {
            faults.push(format!("{file} uses {used}"));
        }
    }
    faults
}

#[test]
fn crates_use_only_those_before_them() {
    assert_eq!(faults_of_crates(&packages()), Vec::<String>::new());
}

#[test]
fn rooms_use_only_those_before_them_and_one_knows_pingora() {
    let folder = root().join("crates/proxy/src");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let faults: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let name = file.strip_prefix(&folder).expect("below it").to_str().expect("a name").to_owned();
            faults_of_source(&name, &std::fs::read_to_string(file).expect("a source"))
        })
        .collect();
    assert_eq!(faults, Vec::<String>::new());
    assert!(files.len() > 50, "{}", files.len());
}

#[test]
fn an_import_against_the_walls_is_seen() {
    for (file, source, fault) in [
        ("front/conn.rs", "use crate::http::Request;", Some("front/conn.rs uses http")),
        ("front/conn.rs", "use crate::{clock, http::Request};", Some("front/conn.rs uses http")),
        ("front/conn.rs", "use crate::wire::Socket;", None),
        ("front/conn.rs", "fn f() { crate::http::run() }", Some("front/conn.rs uses http")),
        ("front/conn.rs", "fn f() { assert!(crate::http::run()) }", Some("front/conn.rs uses http")),
        ("front/conn.rs", "use super::super::http::Request;", Some("front/conn.rs uses http")),
        ("upstream/names/ask.rs", "use super::super::super::build::members;", Some("upstream/names/ask.rs uses build")),
        ("upstream/names/ask.rs", "use super::super::pool::Pools;", None),
        ("upstream/pool.rs", "#[cfg(test)] mod tests { use crate::http::Request; }", None),
        ("http/choose.rs", "use pingora::proxy::Session;", Some("http/choose.rs names Pingora")),
        ("http/carry/pingora/mod.rs", "use pingora::proxy::Session;", None),
        ("route/host.rs", "use tokio::net::TcpStream;", Some("route/host.rs is in a pure room and uses tokio")),
        ("elsewhere/mod.rs", "", Some("elsewhere/mod.rs is in no room")),
    ] {
        assert_eq!(faults_of_source(file, source), fault.into_iter().collect::<Vec<_>>(), "{file}: {source}");
    }
    let package = |name: &str, used: &str| Package { name: name.into(), uses: BTreeSet::from([used.to_owned()]) };
    let faults = |name, used| faults_of_crates(&[package(name, used)]);
    assert_eq!(faults("sticky", "config"), ["sticky uses config"]);
    assert_eq!(faults("sticky", "tokio"), ["sticky is pure and uses tokio"]);
    assert_eq!(faults("gzip", "tokio"), ["gzip has no place among the crates"]);
    assert_eq!(faults("proxy", "tokio"), Vec::<String>::new());
}

#[test]
fn only_building_sees_the_whole_model() {
    let folder = root().join("crates/proxy/src");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source");
        let whole_model =
            text.contains("model::{self") || text.contains("model::Config") || text.contains("model::Http;");
        let is_building = file.strip_prefix(&folder).is_ok_and(|file| file.starts_with("build"));
        assert!(!whole_model || is_building, "{} sees the whole model", file.display());
    }
}

#[test]
fn the_grammar_knows_no_directive() {
    let mut files = Vec::new();
    sources(&root().join("crates/syntax/src"), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for name in ["\"include\"", "b\"include\"", "\"server\"", "\"location\"", "\"events\""] {
            assert!(!code.contains(name), "{} names {name}", file.display());
        }
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut pages: Vec<PathBuf> = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs")).expect("the documents") {
        pages.push(entry.expect("an entry").path());
    }
    for page in pages.into_iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(&page).expect("a page");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let path = page.parent().expect("a folder").join(file);
            assert!(path.exists(), "{} links to {file}, which is not there", page.display());
        }
    }
}
