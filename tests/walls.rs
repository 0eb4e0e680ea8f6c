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

/// The crates, and which of those before it each may use. `http` can't see the directives' machinery, nor `kernel` a socket.
const CRATES: [(&str, &[&str]); 13] = [
    ("syntax", &[]),
    ("text", &[]),
    ("message", &[]),
    ("sticky", &[]),
    ("balance", &[]),
    ("log", &[]),
    ("tls", &[]),
    ("wire", &["log"]),
    ("upstream", &["text", "message", "sticky", "balance", "log", "tls", "wire"]),
    ("http", &["text", "message", "sticky", "balance", "log", "tls", "wire", "upstream"]),
    ("kernel", &["syntax", "text"]),
    ("modules", &["syntax", "text", "message", "sticky", "log", "tls", "wire", "upstream", "http", "kernel"]),
    ("limpet", &["log", "tls", "wire", "upstream", "http", "kernel", "modules"]),
];
/// Those that know neither a socket nor a runtime.
const PURE_CRATES: [&str; 7] = ["syntax", "text", "message", "sticky", "balance", "log", "kernel"];
/// The rooms of `http`, each of which may use those before it. A file that is none of them is one of the steps.
const ROOMS: [&str; 6] = ["route", "front", STEPS, "carry", "handler", "worker"];
const STEPS: &str = "steps";
/// Where Pingora may be named.
const PINGORAS_ROOM: &str = "carry/pingora/";
/// What modules use of each other: the error log of the main level, and the words for TLS on both sides.
const BETWEEN_MODULES: [(&str, &str); 3] = [("core", "log"), ("grpc_ssl", "ssl"), ("proxy_ssl", "ssl")];
/// What of `modules` is no module.
const HOUSE: [&str; 10] = ["address", "build", "gateway", "lib", "list", "model", "module", "reading", "site", "tests"];

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
        let name = package.name.trim_start_matches("limpet-").to_owned();
        Package { name, uses: uses.map(|used| used.name.clone()).collect() }
    };
    metadata.packages.iter().map(of).filter(|package| package.name != "tests").collect()
}

/// What is wrong with the crates.
fn faults_of_crates(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for Package { name, uses } in packages {
        let Some((_, allowed)) = CRATES.iter().find(|(other, _)| other == name) else {
            faults.push(format!("{name} has no place among the crates"));
            continue;
        };
        for used in uses {
            match used.strip_prefix("limpet-") {
                Some(own) if !allowed.contains(&own) => faults.push(format!("{name} uses {own}")),
                Some(_) => {}
                None => {
                    let foreign = ["tokio", "pingora", "socket2", "rand"].contains(&used.as_str());
                    if foreign && PURE_CRATES.contains(&name.as_str()) {
                        faults.push(format!("{name} is pure and uses {used}"));
                    }
                }
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

/// The path of a source's module, and its first word.
fn module_of(file: &str) -> (Vec<String>, String) {
    let mut path: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    let first = path.first().cloned().unwrap_or_default();
    (path, first)
}

/// What is wrong with a source of `http`; `file` is its path below `src`.
fn faults_of_http(file: &str, source: &str) -> Vec<String> {
    let (path, first) = module_of(file);
    let named = named_in(source, &path);
    let mut faults = Vec::new();
    if named.words.contains("pingora") && !file.starts_with(PINGORAS_ROOM) && file != "carry/mod.rs" {
        faults.push(format!("{file} names Pingora"));
    }
    if first == "lib" {
        return faults;
    }
    let place = |room: &str| {
        let place = ROOMS.iter().position(|other| *other == room);
        place.or_else(|| ROOMS.iter().position(|other| *other == STEPS)).unwrap_or_default()
    };
    if named.words.contains("tokio") && first == "route" {
        faults.push(format!("{file} never waits and uses tokio"));
    }
    // Names of types at the root of the crate stand for the steps.
    for used in &named.rooms {
        if place(used) > place(&first) {
            faults.push(format!("{file} uses {used}"));
        }
    }
    faults
}

/// What is wrong with a source of `modules`.
fn faults_of_modules(file: &str, source: &str) -> Vec<String> {
    let (path, module) = module_of(file);
    let named = named_in(source, &path);
    let mut faults = Vec::new();
    if file.ends_with("mod.rs") && named.words.contains("tokio") {
        faults.push(format!("{file} reads a file and uses tokio"));
    }
    if HOUSE.contains(&module.as_str()) {
        return faults;
    }
    for used in named.rooms.iter().filter(|used| **used != module && !HOUSE.contains(&used.as_str())) {
        if !BETWEEN_MODULES.contains(&(&module, used)) {
            faults.push(format!("{file} uses {used}"));
        }
    }
    faults
}

/// Looks at all sources of a crate.
fn faults_of(name: &str, judge: fn(&str, &str) -> Vec<String>) -> Vec<String> {
    let folder = root().join("crates").join(name).join("src");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    assert!(files.len() > 20, "{name} has {} sources", files.len());
    let judge = |file: &PathBuf| {
        let path = file.strip_prefix(&folder).expect("below it").to_str().expect("a name").to_owned();
        judge(&path, &std::fs::read_to_string(file).expect("a source"))
    };
    files.iter().flat_map(judge).collect()
}

#[test]
fn crates_use_only_those_before_them() {
    assert_eq!(faults_of_crates(&packages()), Vec::<String>::new());
}

#[test]
fn each_crate_may_use_earlier_ones_only() {
    for (place, (name, allowed)) in CRATES.iter().enumerate() {
        for used in *allowed {
            let other = CRATES.iter().position(|(other, _)| other == used).expect("a crate");
            assert!(other < place, "{name} and {used}");
        }
    }
}

#[test]
fn rooms_use_only_those_before_them_and_one_knows_pingora() {
    assert_eq!(faults_of("http", faults_of_http), Vec::<String>::new());
}

#[test]
fn modules_do_not_use_each_other() {
    assert_eq!(faults_of("modules", faults_of_modules), Vec::<String>::new());
}

#[test]
fn an_import_against_the_walls_is_seen() {
    for (file, source, fault) in [
        ("front/conn.rs", "use crate::routing::route;", Some("front/conn.rs uses routing")),
        ("front/conn.rs", "use crate::Request;", Some("front/conn.rs uses Request")),
        ("front/conn.rs", "use crate::{route::host, ctx::Request};", Some("front/conn.rs uses ctx")),
        ("front/conn.rs", "use crate::route::host::HostMap;", None),
        ("front/conn.rs", "fn f() { crate::routing::route() }", Some("front/conn.rs uses routing")),
        ("front/conn.rs", "fn f() { assert!(crate::routing::route()) }", Some("front/conn.rs uses routing")),
        ("front/conn.rs", "use super::super::ctx::Request;", Some("front/conn.rs uses ctx")),
        ("front/conn.rs", "use super::exchange::Exchange;", None),
        ("front/conn.rs", "#[cfg(test)] mod tests { use crate::Request; }", None),
        ("choose.rs", "use pingora::proxy::Session;", Some("choose.rs names Pingora")),
        ("choose.rs", "use super::carry::PingoraCarrier;", Some("choose.rs uses carry")),
        ("choose.rs", "use super::ctx::Request; use crate::front::Conn;", None),
        ("carry/pingora/mod.rs", "use pingora::proxy::Session;", None),
        (
            "carry/pingora/mod.rs",
            "use super::super::super::handler::Handler;",
            Some("carry/pingora/mod.rs uses handler"),
        ),
        ("route/host.rs", "use tokio::net::TcpStream;", Some("route/host.rs never waits and uses tokio")),
    ] {
        assert_eq!(faults_of_http(file, source), fault.into_iter().collect::<Vec<_>>(), "{file}: {source}");
    }
    for (file, source, fault) in [
        ("proxy/mod.rs", "use crate::charset::Main;", Some("proxy/mod.rs uses charset")),
        ("proxy/mod.rs", "use crate::model::Http; use super::super::site::Site;", None),
        ("charset/run.rs", "use super::recode::Map;", None),
        ("grpc_ssl/mod.rs", "use crate::ssl::words;", None),
        ("gzip/mod.rs", "use tokio::time::sleep;", Some("gzip/mod.rs reads a file and uses tokio")),
        ("gzip/run.rs", "use tokio::time::sleep;", None),
    ] {
        assert_eq!(faults_of_modules(file, source), fault.into_iter().collect::<Vec<_>>(), "{file}: {source}");
    }
    let package = |name: &str, used: &str| Package { name: name.into(), uses: BTreeSet::from([used.to_owned()]) };
    let faults = |name, used| faults_of_crates(&[package(name, used)]);
    assert_eq!(faults("sticky", "limpet-kernel"), ["sticky uses kernel"]);
    assert_eq!(faults("http", "limpet-kernel"), ["http uses kernel"]);
    assert_eq!(faults("kernel", "limpet-http"), ["kernel uses http"]);
    assert_eq!(faults("kernel", "tokio"), ["kernel is pure and uses tokio"]);
    assert_eq!(faults("gzip", "tokio"), ["gzip has no place among the crates"]);
    assert_eq!(faults("http", "tokio"), Vec::<String>::new());
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

#[test]
fn every_test_that_the_documents_name_is_there() {
    let text = std::fs::read_to_string(root().join("docs/compatibility.md")).expect("the page");
    let named: BTreeSet<(&str, &str)> =
        text.split('`').filter_map(|word| word.split_once(".rs::")).filter(|(_, test)| !test.contains(' ')).collect();
    assert!(named.len() > 50, "{}", named.len());
    for (file, test) in named {
        let source = std::fs::read_to_string(root().join(format!("{file}.rs"))).unwrap_or_default();
        assert!(source.contains(&format!("fn {test}(")), "docs/compatibility.md names {file}.rs::{test}");
    }
}

#[test]
fn every_file_that_the_journey_names_is_there() {
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    let text = std::fs::read_to_string(root().join("docs/journey.md")).expect("the page");
    let named: BTreeSet<&str> = text.split('`').filter(|word| word.ends_with(".rs")).collect();
    assert!(named.len() > 50, "{}", named.len());
    for name in named {
        assert!(files.iter().any(|file| file.ends_with(name)), "docs/journey.md names {name}");
    }
}
