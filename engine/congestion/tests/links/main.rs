//! The estimator, the pacer and the allocator over simulated links.

#![allow(missing_docs, clippy::unwrap_used)]

mod convergence;
mod fairness;
mod feedback;
mod layers;
mod loss;
mod sim;
mod traces;
