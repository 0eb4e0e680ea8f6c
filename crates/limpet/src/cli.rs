//! nginx's command line, letter for letter.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use limpet_kernel::dump::Notation;

use crate::messages::Failure;

/// Where nginx looks when nothing is said.
const PREFIX: &str = "/usr/local/nginx";
const CONFIGURATION: &str = "conf/nginx.conf";

/// What the program is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Run,
    Help,
    Version,
    Configuration,
    Test,
    DumpTree(Notation),
    Signal(SignalName),
}

/// The word behind `-s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalName {
    Stop,
    Quit,
    Reload,
    Reopen,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub action: Action,
    /// What is said before a test (`-v -t`).
    pub about: Option<Action>,
    /// `-T`: the files are printed.
    pub dump: bool,
    /// `-q`: only errors are shown.
    pub quiet: bool,
    /// An absolute path.
    pub prefix: PathBuf,
    /// An absolute path.
    pub configuration: PathBuf,
    /// `-e`, as given.
    pub error_log: Option<PathBuf>,
    /// `-g`
    pub globals: Vec<u8>,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// In nginx's words.
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Options, Failure> {
        let mut raw = Raw::default();
        let mut arguments = arguments.map(OsStringExt::into_vec);
        while let Some(argument) = arguments.next() {
            raw.take(&argument, &mut arguments)?;
        }
        raw.finish()
    }
}

/// What was read before it is put together.
#[derive(Default)]
struct Raw {
    help: bool,
    version: bool,
    configure: bool,
    test: bool,
    dump: bool,
    quiet: bool,
    tree: Option<Notation>,
    signal: Option<SignalName>,
    prefix: Option<PathBuf>,
    configuration: Option<PathBuf>,
    error_log: Option<PathBuf>,
    globals: Vec<u8>,
}

impl Raw {
    fn take(&mut self, argument: &[u8], rest: &mut impl Iterator<Item = Vec<u8>>) -> Result<(), Failure> {
        let invalid =
            |option: &[u8]| Failure::plain(format!("invalid option: \"{}\"", String::from_utf8_lossy(option)));
        if argument == b"--dump-tree" {
            self.tree = match rest.next().as_deref() {
                Some(b"yaml") => Some(Notation::Yaml),
                Some(b"json") => Some(Notation::Json),
                _ => return Err(Failure::plain("option \"--dump-tree\" requires \"yaml\" or \"json\"")),
            };
            return Ok(());
        }
        let Some(flags) = argument.strip_prefix(b"-") else { return Err(invalid(argument)) };
        for (at, flag) in flags.iter().enumerate() {
            match flag {
                b'?' | b'h' => (self.version, self.help) = (true, true),
                b'v' => self.version = true,
                b'V' => (self.version, self.configure) = (true, true),
                b't' => self.test = true,
                b'T' => (self.test, self.dump) = (true, true),
                b'q' => self.quiet = true,
                b's' | b'p' | b'e' | b'c' | b'g' => {
                    // What follows the letter is its value, else the next argument is.
                    let joined = flags.get(at + 1..).filter(|value| !value.is_empty()).map(<[u8]>::to_vec);
                    return self.value(*flag, joined.or_else(|| rest.next()));
                }
                other => return Err(invalid(&[*other])),
            }
        }
        Ok(())
    }

    fn value(&mut self, flag: u8, value: Option<Vec<u8>>) -> Result<(), Failure> {
        let requires = |what: &str| Failure::plain(format!("option \"-{}\" requires {what}", flag as char));
        let path = |value: Option<Vec<u8>>, what: &str| {
            value
                .filter(|value| !value.is_empty())
                .map(|value| PathBuf::from(OsString::from_vec(value)))
                .ok_or_else(|| requires(what))
        };
        match flag {
            b'p' => self.prefix = Some(path(value, "directory name")?),
            b'c' => self.configuration = Some(path(value, "file name")?),
            b'e' => self.error_log = Some(path(value, "file name")?),
            b'g' => self.globals = value.ok_or_else(|| requires("parameter"))?,
            _ => {
                let word = value.ok_or_else(|| requires("parameter"))?;
                self.signal = Some(match word.as_slice() {
                    b"stop" => SignalName::Stop,
                    b"quit" => SignalName::Quit,
                    b"reload" => SignalName::Reload,
                    b"reopen" => SignalName::Reopen,
                    _ => {
                        return Err(Failure::plain(format!(
                            "invalid option: \"-s {}\"",
                            String::from_utf8_lossy(&word)
                        )));
                    }
                });
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Options, Failure> {
        let action = match (self.tree, self.signal) {
            _ if self.test => Action::Test,
            _ if self.help => Action::Help,
            _ if self.configure => Action::Configuration,
            (Some(notation), _) => Action::DumpTree(notation),
            _ if self.version => Action::Version,
            (_, Some(signal)) => Action::Signal(signal),
            _ => Action::Run,
        };
        let here = std::env::current_dir().unwrap_or_default();
        let prefix = here.join(self.prefix.unwrap_or_else(|| PREFIX.into()));
        let configuration = prefix.join(self.configuration.unwrap_or_else(|| CONFIGURATION.into()));
        if configuration.as_os_str().as_bytes().contains(&0) {
            return Err(Failure::plain("a file name has a NUL byte in it"));
        }
        Ok(Options {
            action,
            about: match () {
                () if self.help => Some(Action::Help),
                () if self.configure => Some(Action::Configuration),
                () => self.version.then_some(Action::Version),
            },
            dump: self.dump,
            quiet: self.quiet,
            prefix,
            configuration,
            error_log: self.error_log,
            globals: self.globals,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        Options::parse(arguments.iter().map(OsString::from)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn flags_may_be_joined() {
        let options = parse(&["-tq"]).unwrap();
        assert_eq!((options.action, options.quiet), (Action::Test, true));
        assert!(parse(&["-Tq"]).unwrap().dump);
        assert_eq!(parse(&["-V"]).unwrap().action, Action::Configuration);
        assert_eq!(parse(&["-?"]).unwrap().action, Action::Help);
    }

    #[test]
    fn values_stand_behind_their_letter_or_in_the_next_argument() {
        for arguments in [&["-p", "/p", "-c", "x", "-g", "daemon off;"][..], &["-p/p", "-cx", "-gdaemon off;"]] {
            let options = parse(arguments).unwrap();
            assert_eq!(options.configuration, PathBuf::from("/p/x"));
            assert_eq!(options.globals, b"daemon off;");
        }
        assert_eq!(parse(&["-c", "/a/b"]).unwrap().configuration, PathBuf::from("/a/b"));
        assert_eq!(parse(&["-sreload"]).unwrap().action, Action::Signal(SignalName::Reload));
        assert_eq!(parse(&["-t", "-s", "reload"]).unwrap().action, Action::Test);
    }

    #[test]
    fn wrong_options_are_told_in_nginxs_words() {
        for (arguments, expected) in [
            (&["-z"][..], "limpet: invalid option: \"z\""),
            (&["foo"], "limpet: invalid option: \"foo\""),
            (&["--help"], "limpet: invalid option: \"-\""),
            (&["-s", "foo"], "limpet: invalid option: \"-s foo\""),
            (&["-s"], "limpet: option \"-s\" requires parameter"),
            (&["-c"], "limpet: option \"-c\" requires file name"),
            (&["-p"], "limpet: option \"-p\" requires directory name"),
            (&["-g"], "limpet: option \"-g\" requires parameter"),
        ] {
            assert_eq!(parse(arguments).unwrap_err(), expected);
        }
    }
}
