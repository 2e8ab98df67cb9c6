//! ORTC negotiation.
