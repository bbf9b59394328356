//! The closed lists of names: every enum that the contract, the databases and filters know by name.

/// Gives an enum without data its names: `ALL`, `name`, `named` and `Display`, from one line a variant.
macro_rules! names {
    ($type:ident { $($variant:ident $name:literal,)+ }) => {
        impl $type {
            /// Every value, in the order of the documentation.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The lower-case name, the same in the databases, in filters and in reports.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value of that name, if there is one.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.name() == name)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use names;
