//! The walls of docs/architecture.md that no lint can hold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn dependencies(name: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml"))).expect("a manifest");
    let section = text.split("[dependencies]").nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
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

#[test]
fn the_arrows_between_crates_point_one_way() {
    let ours = |name: &str| -> Vec<String> {
        dependencies(name).into_iter().filter(|name| name.starts_with("limpet-")).collect()
    };
    assert_eq!(ours("syntax"), Vec::<String>::new());
    assert_eq!(ours("sticky"), Vec::<String>::new());
    assert_eq!(ours("balance"), Vec::<String>::new());
    assert_eq!(ours("message"), Vec::<String>::new());
    assert_eq!(ours("text"), Vec::<String>::new());
    assert_eq!(ours("config"), ["limpet-syntax", "limpet-text"]);
    assert_eq!(ours("proxy"), ["limpet-balance", "limpet-config", "limpet-message", "limpet-sticky", "limpet-text"]);
    assert_eq!(ours("limpet"), ["limpet-config", "limpet-proxy"]);
}

#[test]
fn the_pure_crates_know_no_runtime() {
    for name in ["syntax", "config", "sticky", "balance", "message", "text"] {
        for foreign in ["tokio", "pingora", "log", "rand"] {
            assert!(!dependencies(name).contains(foreign), "{name} uses {foreign}");
        }
    }
}

#[test]
fn only_building_sees_both_the_model_and_the_runtime() {
    let mut files = Vec::new();
    sources(&root().join("crates/proxy/src"), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source");
        let whole_model =
            text.contains("model::{self") || text.contains("model::Config") || text.contains("model::Http;");
        assert!(
            !whole_model || file.components().any(|part| part.as_os_str() == "build"),
            "{} sees the whole model",
            file.display()
        );
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
