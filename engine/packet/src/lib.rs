//! Parsing and writing of STUN, RTP, RTCP and payload headers.
