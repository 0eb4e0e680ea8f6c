//! `check` and what goes with it: Tengine's active health checks.

/// How `check_status` shows the servers where the request does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFormat {
    Html,
    Csv,
    Json,
    Prometheus,
}

impl StatusFormat {
    pub fn from_word(word: &[u8]) -> Option<StatusFormat> {
        match word {
            b"html" => Some(StatusFormat::Html),
            b"csv" => Some(StatusFormat::Csv),
            b"json" => Some(StatusFormat::Json),
            b"prometheus" => Some(StatusFormat::Prometheus),
            _ => None,
        }
    }
}
