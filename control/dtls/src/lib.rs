//! DTLS-SRTP endpoint.
