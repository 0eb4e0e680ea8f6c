//! The tree as YAML and JSON, for people and for programs.

use limpet_syntax::{Directive, Item, Sources, Tree};
use serde::Serialize;

/// The notation of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    Yaml,
    Json,
}

/// One directive. Bytes that are not UTF-8 are shown as U+FFFD.
#[derive(Serialize)]
struct Node {
    directive: String,
    args: Vec<String>,
    file: String,
    line: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<Vec<Node>>,
    /// What stood in the files that were read in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    included: Vec<Node>,
}

/// The whole tree with the files that it includes, each directive with its place.
///
/// # Errors
/// The serializer's own words; none is known to happen for a tree.
pub fn tree(tree: &Tree, notation: Notation) -> Result<String, String> {
    let nodes = nodes(&tree.items, &tree.sources);
    match notation {
        Notation::Yaml => serde_yaml::to_string(&nodes).map_err(|error| error.to_string()),
        Notation::Json => {
            serde_json::to_string_pretty(&nodes).map(|text| text + "\n").map_err(|error| error.to_string())
        }
    }
}

fn nodes(items: &[Item], sources: &Sources) -> Vec<Node> {
    let directives = items.iter().filter_map(|item| match item {
        Item::Directive(directive) => Some(directive),
        Item::Failed(_) => None,
    });
    directives.map(|directive| node(directive, sources)).collect()
}

fn node(directive: &Directive, sources: &Sources) -> Node {
    let span = directive.name.span;
    Node {
        directive: directive.name.text().into_owned(),
        args: directive.args.iter().map(|word| word.text().into_owned()).collect(),
        file: sources.get(span.file).map(|file| file.path.display().to_string()).unwrap_or_default(),
        line: span.line,
        block: directive.block.as_ref().map(|block| nodes(&block.items, sources)),
        included: nodes(&directive.included, sources),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use limpet_syntax::parse_text;

    #[test]
    fn the_tree_is_dumped_as_yaml_and_json() {
        let parsed = parse_text("x.conf", b"user a;\nhttp {\n server { listen 80 default_server; }\n}");
        let yaml = tree(&parsed, Notation::Yaml).unwrap();
        assert!(yaml.starts_with("- directive: user\n  args:\n  - a\n  file: x.conf\n  line: 1\n"), "{yaml}");
        let json = tree(&parsed, Notation::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value[1]["block"][0]["block"][0]["args"][1], "default_server");
        assert_eq!(value[1]["block"][0]["line"], 3);
    }
}
