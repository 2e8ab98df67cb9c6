//! The header of what a consumer sends.

use weirgate_layers::Place;
use weirgate_packet::rtp::{ExtensionForm, RtpTemplate, RtpWriter};
use weirgate_wire::{ConsumerConfig, ExtensionKind};

use crate::Timestamp;
use crate::clock::abs_send_time;

/// What is the same in all headers of a consumer, and where the rest goes.
#[derive(Debug)]
pub(crate) struct Header {
    template: RtpTemplate,
    abs_send_time_at: Option<usize>,
    transport_sequence_at: Option<usize>,
}

/// What is not.
pub(crate) struct HeaderFields {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    /// Time for abs-send-time.
    pub(crate) send_time: Timestamp,
    /// Transport-wide sequence number, where it was negotiated.
    pub(crate) transport_sequence: Option<u16>,
}

impl Header {
    pub(crate) fn new(config: &ConsumerConfig) -> Self {
        let mut template = RtpTemplate::new(ExtensionForm::OneByte);
        let mut add = |kind, data: &[u8]| {
            let id = config.extensions.get(kind)?;
            template.extension(id, data)
        };
        add(ExtensionKind::Mid, config.mid.as_bytes());
        Self {
            abs_send_time_at: add(ExtensionKind::AbsSendTime, &[0; 3]),
            transport_sequence_at: add(ExtensionKind::TransportWideCc, &[0; 2]),
            template,
        }
    }

    /// Packets have a transport-wide sequence number.
    pub(crate) const fn has_transport_sequence(&self) -> bool {
        self.transport_sequence_at.is_some()
    }

    /// Starts a packet; extensions that travel with it, and the payload, follow. `None` where it
    /// has no room or its fields are not those that were negotiated.
    #[inline]
    pub(crate) fn begin<'a>(
        &self,
        slot: &'a mut [u8],
        place: &Place,
        fields: &HeaderFields,
    ) -> Option<RtpWriter<'a>> {
        let mut writer = self.template.begin(
            slot,
            place.marker,
            fields.payload_type,
            fields.sequence,
            place.timestamp,
            fields.ssrc,
        )?;
        if let Some(at) = self.abs_send_time_at {
            writer.patch(at, &abs_send_time(fields.send_time))?;
        }
        if let Some(at) = self.transport_sequence_at {
            writer.patch(at, &fields.transport_sequence?.to_be_bytes())?;
        }
        Some(writer)
    }
}
