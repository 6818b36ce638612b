//! The table of host functions: what a runner has serve carry out.
//!
//! `log` and `clock` are not in it: the runner does these alone.

use serde::{Deserialize, Serialize};

macro_rules! functions {
    ($($variant:ident = $interface:literal $function:literal;)+) => {
        /// A host function that serve carries out. New ones go to the end: the number is what is sent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum HostFunction {
            $(#[doc = concat!("`", $interface, ".", $function, "`")] $variant,)+
        }

        impl HostFunction {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The interface, as WIT writes it.
            #[must_use]
            pub fn interface(self) -> &'static str {
                match self { $(Self::$variant => $interface,)+ }
            }

            /// The function, as WIT writes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $function,)+ }
            }
        }
    };
}

functions! {
    StateGet = "state" "get";
    StateSet = "state" "set";
    StateRemove = "state" "remove";
    StateKeys = "state" "keys";
}
