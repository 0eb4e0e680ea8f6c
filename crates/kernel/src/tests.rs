//! The walk over a file, with two made-up directives: one that uses variables in a text, and one that defines them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use limpet_syntax as syntax;
use limpet_text::{Names, Standing};

use crate::directive::prelude::{MAIN, N1, works};
use crate::setters::{arg, text};
use crate::{Builder, Directive, Fault, FileSystem, Outside, Table, load};

#[derive(Default)]
struct Said(Vec<String>);

const ROWS: &[Directive<Said>] =
    &[works("say", MAIN, N1, "A text.", say).repeatable(), works("let", MAIN, N1, "A variable.", define).repeatable()];

fn say(builder: &mut Builder<'_, Said>, directive: &syntax::Directive) -> Result<(), Fault> {
    let template = builder.template(arg(directive, 0)?)?;
    builder.0.extend(template.variables().map(str::to_owned));
    Ok(())
}

fn define(builder: &mut Builder<'_, Said>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.define(text(arg(directive, 0)?)?);
    Ok(())
}

struct Machine(BTreeMap<PathBuf, Vec<u8>>);

impl FileSystem for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::from_raw_os_error(2))
    }
    fn matches(&self, _: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl Outside for Machine {
    fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn has_user(&self, _: &str) -> bool {
        false
    }
    fn has_group(&self, _: &str) -> bool {
        false
    }
    fn hostname(&self) -> String {
        String::new()
    }
}

/// It knows `uri`.
struct Uri;

impl Names for Uri {
    fn standing(&self, name: &str) -> Standing {
        if name == "uri" { Standing::Known } else { Standing::Unknown }
    }
    fn known(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(["uri"].into_iter())
    }
}

/// The variables of the texts, or the error.
fn read(file: &str) -> Result<Vec<String>, String> {
    let machine = Machine(BTreeMap::from([(PathBuf::from("/f"), file.as_bytes().to_vec())]));
    let table = Table::new(vec![("All", ROWS)]);
    let loaded = load(Path::new("/f"), b"", &table, &machine, &Uri, |builder| builder.check_variables());
    loaded.model.map(|said| said.0).map_err(|error| format!("{error}, meant: {:?}", error.meant))
}

#[test]
fn a_variable_may_be_used_above_its_definition() {
    assert_eq!(read("say $uri;\nsay \"$mine is\";\nlet mine;"), Ok(vec!["uri".into(), "mine".into()]));
}

#[test]
fn an_unknown_variable_is_told_where_it_is_used() {
    assert_eq!(
        read("say $uri;\nsay $mime;\nlet mine;\n"),
        Err("unknown \"mime\" variable in /f:2, meant: Some(\"mine\")".into())
    );
}
