//! The codecs from outside: valid packets cut and damaged, random bytes, round trips.

mod round_trip;
mod samples;
mod truncation;
mod walk;
