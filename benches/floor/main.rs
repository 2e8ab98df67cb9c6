//! Made next.
fn main() {}
