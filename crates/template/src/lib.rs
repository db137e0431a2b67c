//! The substitution language of boot files: parse once, render many. No I/O.
