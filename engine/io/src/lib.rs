//! UDP back ends.
