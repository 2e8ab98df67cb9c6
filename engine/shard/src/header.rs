//! The header of what a consumer sends.

use weirgate_packet::rtp::{ExtensionForm, RtpTemplate, RtpWriter};
use weirgate_wire::{ConsumerConfig, ExtensionKind};

use crate::clock::abs_send_time;
use crate::draft::Draft;

/// What is the same in all headers of a consumer, and where goes what is not.
#[derive(Debug)]
pub(crate) struct Header {
    template: RtpTemplate,
    abs_send_time_at: Option<usize>,
    transport_sequence_at: Option<usize>,
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
    pub(crate) fn begin<'a>(&self, slot: &'a mut [u8], draft: &Draft) -> Option<RtpWriter<'a>> {
        let mut writer = self.template.begin(
            slot,
            draft.place.marker,
            draft.payload_type,
            draft.sequence as u16,
            draft.place.timestamp,
            draft.ssrc,
        )?;
        if let Some(at) = self.abs_send_time_at {
            writer.patch(at, &abs_send_time(draft.send_time))?;
        }
        if let Some(at) = self.transport_sequence_at {
            writer.patch(at, &draft.transport_sequence?.to_be_bytes())?;
        }
        Some(writer)
    }
}
