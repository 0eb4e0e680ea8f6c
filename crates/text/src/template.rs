//! Texts with variables in them: `"$scheme://${host}/x"`, cut into parts once, at load.

/// A text that is put together anew for each request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// Its pieces in order.
    pub parts: Vec<Part>,
}

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Bytes that are always the same.
    Text(Vec<u8>),
    /// The name without `$` and braces, in lower case as nginx takes it.
    Variable(String),
    /// `$1` to `$9`: a group of the last regular expression that matched. A digit in braces is none.
    Capture(usize),
}

impl Template {
    /// A template of text only.
    pub fn plain(text: &[u8]) -> Self {
        let parts = if text.is_empty() { Vec::new() } else { vec![Part::Text(text.to_vec())] };
        Template { parts }
    }

    /// Cuts a text at its variables.
    ///
    /// # Errors
    /// nginx's words: `invalid variable name`, or that a `}` is missing.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        Template::cut(text, true)
    }

    /// The same for a text that knows no groups, where digits are letters like others: a log's format.
    ///
    /// # Errors
    /// As those of [`Template::parse`].
    pub fn parse_without_captures(text: &[u8]) -> Result<Self, String> {
        Template::cut(text, false)
    }

    fn cut(text: &[u8], captures: bool) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
            let (before, after) =
                (rest.get(..at).unwrap_or_default(), rest.get(at.saturating_add(1)..).unwrap_or_default());
            if !before.is_empty() {
                parts.push(Part::Text(before.to_vec()));
            }
            let (name, left) = match after.strip_prefix(b"{") {
                None if captures && after.first().is_some_and(|byte| (b'1'..=b'9').contains(byte)) => {
                    let (digit, left) = after.split_at(1);
                    parts.push(Part::Capture(usize::from(digit.first().map_or(0, |digit| digit.saturating_sub(b'0')))));
                    rest = left;
                    continue;
                }
                Some(braced) => {
                    let (name, left) = braced.split_at(name_length(braced));
                    let Some(left) = left.strip_prefix(b"}") else {
                        let name = String::from_utf8_lossy(name).into_owned();
                        return Err(format!("the closing bracket in \"{name}\" variable is missing"));
                    };
                    (name, left)
                }
                None => after.split_at(name_length(after)),
            };
            if name.is_empty() {
                return Err("invalid variable name".into());
            }
            parts.push(Part::Variable(String::from_utf8_lossy(name).to_ascii_lowercase()));
            rest = left;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_vec()));
        }
        Ok(Template { parts })
    }

    /// The names of its variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) | Part::Capture(_) => None,
        })
    }

    /// The text, if there is no variable in it.
    pub fn as_plain(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [] => Some(b""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// How many bytes at the beginning belong to a variable's name.
fn name_length(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<String> {
        let part = |part: &Part| match part {
            Part::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Part::Variable(name) => format!("<{name}>"),
            Part::Capture(group) => format!("<{group}>"),
        };
        Template::parse(text.as_bytes()).unwrap().parts.iter().map(part).collect()
    }

    #[test]
    fn texts_are_cut_at_their_variables() {
        assert_eq!(parts("a$b-c"), ["a", "<b>", "-c"]);
        assert_eq!(parts("${http_x}y$z$w"), ["<http_x>", "y", "<z>", "<w>"]);
        assert_eq!(parts("$1a$12"), ["<1>", "a", "<1>", "2"]);
        assert_eq!(Template::parse(b"${1}").unwrap().parts, [Part::Variable("1".into())]);
        assert_eq!(Template::parse(b"$0").unwrap().parts, [Part::Variable("0".into())]);
        assert_eq!(Template::parse_without_captures(b"$12x").unwrap().parts, [Part::Variable("12x".into())]);
        assert_eq!(parts("plain"), ["plain"]);
        assert_eq!(parts(""), Vec::<String>::new());
        assert_eq!(parts("$HOST"), ["<host>"]);
    }

    #[test]
    fn broken_variables_are_errors() {
        assert_eq!(Template::parse(b"a$"), Err("invalid variable name".into()));
        assert_eq!(Template::parse(b"$-"), Err("invalid variable name".into()));
        assert_eq!(Template::parse(b"${}"), Err("invalid variable name".into()));
        assert_eq!(Template::parse(b"${a"), Err("the closing bracket in \"a\" variable is missing".into()));
        assert_eq!(Template::parse(b"${a-b}"), Err("the closing bracket in \"a\" variable is missing".into()));
    }
}
