//! What blocks inherit from each other.

/// Settings of a block that those inside of it take over.
pub trait Inherit: Clone + Default {
    /// Takes from the block around it what is not set.
    fn inherit(&mut self, outer: &Self);
}

impl Inherit for () {
    fn inherit(&mut self, (): &()) {}
}

/// A struct of settings, each of which is `None` until a block sets it, and is inherited by itself.
#[macro_export]
macro_rules! settings {
    ($($(#[$attribute:meta])* $name:ident: $type:ty,)*) => {
        /// What blocks inherit of this module; `None` is what no block has set.
        #[derive(Debug, Clone, Default)]
        pub struct Settings {
            $($(#[$attribute])* pub $name: Option<$type>,)*
        }

        impl $crate::Inherit for Settings {
            fn inherit(&mut self, outer: &Self) {
                $(if self.$name.is_none() {
                    self.$name.clone_from(&outer.$name);
                })*
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::Inherit;

    crate::settings! {
        size: u64,
        name: String,
    }

    #[test]
    fn a_block_takes_what_it_does_not_say() {
        let outer = Settings { size: Some(1), name: Some("outer".into()) };
        let mut inner = Settings { size: Some(2), name: None };
        inner.inherit(&outer);
        assert_eq!((inner.size, inner.name.as_deref()), (Some(2), Some("outer")));
    }
}
