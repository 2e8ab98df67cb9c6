//! Header extension elements in their one-byte and two-byte forms (RFC 8285 sections 4.2, 4.3).

/// Profile of the one-byte form.
const ONE_BYTE_PROFILE: u16 = 0xbede;
/// Profile of the two-byte form; its low four bits are up to the application.
const TWO_BYTE_PROFILE: u16 = 0x1000;
const TWO_BYTE_PROFILE_MASK: u16 = 0xfff0;
const PADDING: u8 = 0;
/// The identifier of the one-byte form that ends the block.
const ONE_BYTE_STOP_ID: u8 = 15;

/// How extension elements are headed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionForm {
    /// Ids 1–14, 1–16 bytes of data.
    OneByte,
    /// Ids 1–255, 0–255 bytes of data.
    TwoByte,
}

impl ExtensionForm {
    /// True where an element with that id and length can be written.
    pub(super) const fn holds(self, id: u8, len: usize) -> bool {
        match self {
            Self::OneByte => 1 <= id && id < ONE_BYTE_STOP_ID && 1 <= len && len <= 16,
            Self::TwoByte => 1 <= id && len <= 255,
        }
    }

    /// What the block begins with.
    pub(super) const fn profile(self) -> u16 {
        match self {
            Self::OneByte => ONE_BYTE_PROFILE,
            Self::TwoByte => TWO_BYTE_PROFILE,
        }
    }

    /// Bytes of an element before its data.
    pub(super) const fn element_header_len(self) -> usize {
        match self {
            Self::OneByte => 1,
            Self::TwoByte => 2,
        }
    }
}

/// Yields `(id, data)`; ends at the block's end, at id 15 of the one-byte form, or at the first
/// element that does not fit the block.
#[derive(Debug, Clone)]
pub struct ExtensionIter<'a> {
    form: ExtensionForm,
    rest: &'a [u8],
}

impl<'a> ExtensionIter<'a> {
    pub(super) const fn empty() -> Self {
        Self {
            form: ExtensionForm::OneByte,
            rest: &[],
        }
    }

    pub(super) const fn new(profile: u16, block: &'a [u8]) -> Self {
        let form = if profile == ONE_BYTE_PROFILE {
            ExtensionForm::OneByte
        } else if profile & TWO_BYTE_PROFILE_MASK == TWO_BYTE_PROFILE {
            ExtensionForm::TwoByte
        } else {
            return Self::empty();
        };
        Self { form, rest: block }
    }

    /// Takes the element in front.
    fn element(&mut self) -> Option<(u8, &'a [u8])> {
        let (id, len, data) = match (self.form, self.rest) {
            // Id 0 with a length ends the block as id 15 does (RFC 8285 section 4.2).
            (ExtensionForm::OneByte, [head, data @ ..]) => match head >> 4 {
                PADDING | ONE_BYTE_STOP_ID => return None,
                id => (id, usize::from(head & 0x0f) + 1, data),
            },
            (ExtensionForm::TwoByte, [id, len, data @ ..]) => (*id, usize::from(*len), data),
            _ => return None,
        };
        let (data, rest) = data.split_at_checked(len)?;
        self.rest = rest;
        Some((id, data))
    }
}

impl<'a> Iterator for ExtensionIter<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let [PADDING, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let element = self.element();
        if element.is_none() {
            self.rest = &[];
        }
        element
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(profile: u16, block: &[u8]) -> Vec<(u8, Vec<u8>)> {
        ExtensionIter::new(profile, block)
            .map(|(id, data)| (id, data.to_vec()))
            .collect()
    }

    #[test]
    fn one_byte_elements_with_padding_between() {
        assert_eq!(
            elements(0xbede, &[0x10, 0xaa, 0, 0, 0x21, 0xbb, 0xcc, 0]),
            [(1, vec![0xaa]), (2, vec![0xbb, 0xcc])]
        );
    }

    #[test]
    fn two_byte_elements_may_be_empty_and_have_any_id() {
        for profile in [0x1000, 0x100f] {
            assert_eq!(
                elements(profile, &[15, 1, 0xaa, 0, 200, 0, 3, 2, 0xbb, 0xcc]),
                [(15, vec![0xaa]), (200, vec![]), (3, vec![0xbb, 0xcc])]
            );
        }
    }

    #[test]
    fn stop_id_and_zero_id_with_a_length_end_the_one_byte_block() {
        for stop in [0xf0, 0xf3, 0x03] {
            assert_eq!(
                elements(0xbede, &[0x10, 0xaa, stop, 0x20, 0xbb, 0]),
                [(1, vec![0xaa])]
            );
        }
    }

    #[test]
    fn over_long_elements_end_the_block() {
        assert_eq!(
            elements(0xbede, &[0x10, 0xaa, 0x22, 1, 2]),
            [(1, vec![0xaa])]
        );
        assert_eq!(elements(0x1000, &[1, 0, 2, 3, 1, 2]), [(1, vec![])]);
        assert_eq!(elements(0x1000, &[1, 0, 2]), [(1, vec![])]);
    }

    #[test]
    fn other_profiles_have_no_elements() {
        assert_eq!(elements(0xabac, &[0x10, 0xaa]), []);
    }
}
