//! Patterns, as nginx compiles them.

pub use pcre2::Error as RegexError;
pub use pcre2::bytes::Regex;

/// Bytes of stack for a match: enough for the longest URI and patterns with nested repetition.
const JIT_STACK: usize = 1 << 20;

/// A pattern of the configuration, compiled as nginx compiles it: over bytes, by PCRE, with the JIT where there is one.
///
/// # Errors
/// What PCRE has against it.
pub fn regex(pattern: &str, caseless: bool) -> Result<Regex, RegexError> {
    pcre2::bytes::RegexBuilder::new()
        .caseless(caseless)
        .jit_if_available(true)
        .max_jit_stack_size(Some(JIT_STACK))
        .build(pattern)
}
