//! What a shard counts. One line here is one metric.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Monotonic counters since the shard was made.
        #[derive(Debug, Clone, Default)]
        pub(crate) struct Counters {
            $($(#[doc = $doc])+ pub(crate) $name: u64,)+
        }

        impl Counters {
            /// `(name, value)` of every counter, in the order of their declaration.
            pub(crate) fn entries(&self) -> Vec<(String, u64)> {
                vec![$((stringify!($name).to_owned(), self.$name),)+]
            }
        }
    };
}

counters! {
    /// Datagrams handed in by the driver or by other shards.
    datagrams_received,
    /// Datagrams given to the driver.
    datagrams_sent,
    /// Trains given to the driver.
    trains_sent,
    /// Datagrams the driver could not send.
    datagrams_send_failed,
    /// Media RTP packets accepted from producers' transports.
    rtp_packets_received,
    /// Bytes of those, headers included.
    rtp_bytes_received,
    /// RTP packets written for consumers, RTX apart.
    rtp_packets_sent,
    /// Bytes of those, headers included.
    rtp_bytes_sent,
    /// RTX packets received that repaired a loss.
    rtx_packets_repaired,
    /// Packets sent again, as RTX or byte-exact.
    packets_retransmitted,
    /// Packets asked of us that would have been more than 15 % of a leg.
    repairs_refused,
    /// Bytes of padding that made datagrams of a train equally long.
    padding_bytes_sent,
    /// Packets sent to fill probes.
    probe_packets_sent,
    /// Received twice, by network or by RTX, and dropped.
    rtp_duplicates,
    /// RTP that authenticated but belongs to no producer.
    rtp_unknown_stream,
    /// RTP that authenticated but could not be parsed.
    rtp_malformed,
    /// SSRCs refused because a transport's table was full.
    ssrcs_refused,
    /// SRTP and SRTCP that failed authentication.
    srtp_auth_failures,
    /// SRTP and SRTCP seen before.
    srtp_replays,
    /// SRTP and SRTCP too short or malformed.
    srtp_malformed,
    /// Media from a checked peer before its keys were set.
    media_before_keys,
    /// Datagrams from addresses without a flow.
    unknown_flow,
    /// Datagrams of no protocol known here.
    unknown_protocol,
    /// Valid STUN checks answered.
    stun_checks,
    /// STUN that is no valid Binding request.
    stun_malformed,
    /// STUN for user names not known here.
    stun_unknown_user,
    /// STUN whose MESSAGE-INTEGRITY or FINGERPRINT does not fit.
    stun_auth_failures,
    /// Checks answered 487 (role conflict).
    stun_role_conflicts,
    /// Checks answered 420 (unknown attribute).
    stun_unknown_attributes,
    /// Transports whose consent expired.
    consent_expired,
    /// DTLS datagrams passed to control.
    dtls_received,
    /// DTLS datagrams sent for control.
    dtls_sent,
    /// DTLS dropped: unchecked address, malformed, or too many.
    dtls_dropped,
    /// RTCP compounds received.
    rtcp_received,
    /// RTCP compounds sent.
    rtcp_sent,
    /// RTCP that authenticated but could not be parsed.
    rtcp_malformed,
    /// Packets asked of senders by NACK.
    nacks_sent,
    /// Packets asked of us by NACK.
    nacks_received,
    /// Packets asked of us that could not be given.
    nacks_unanswered,
    /// Key frames asked of senders.
    key_frame_requests_sent,
    /// Key frames asked of us.
    key_frame_requests_received,
    /// Transport-wide feedback messages sent.
    transport_feedback_sent,
    /// Packets not queued because a transport's queue was full.
    departures_dropped,
    /// Video packets that were not for a consumer because the shard could not keep up.
    packets_shed,
    /// Queued packets that history had lost, or that were too old, before they could leave.
    departures_expired,
    /// Answers and RTCP dropped because the prompt queue was full.
    prompt_dropped,
    /// Packets crossed to other shards.
    crossings_sent,
    /// Packets crossed from other shards.
    crossings_received,
    /// Crossings dropped for want of a buffer.
    crossings_dropped,
    /// Datagrams handed to the shard that owns their flow.
    flows_handed_over,
    /// Addresses that went from one transport to another by a newer check.
    flows_reassigned,
    /// Flows of other shards not remembered because the table was full.
    foreign_flows_refused,
    /// Trace events told to control.
    traces_told,
    /// Trace events left out because there were too many in one second.
    traces_dropped,
    /// Events dropped because the hub was behind.
    events_dropped,
}
