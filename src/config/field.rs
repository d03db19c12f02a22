//! The result of reading a key.

/// The result of reading a key. An invalid value has already been reported.
pub(super) enum Field<T> {
    /// The key is missing.
    Absent,
    /// The value is invalid.
    Invalid,
    /// The value is valid.
    Valid(T),
}

impl<T> Field<T> {
    /// The value, if it is valid.
    pub(super) fn valid(self) -> Option<T> {
        match self {
            Self::Absent | Self::Invalid => None,
            Self::Valid(value) => Some(value),
        }
    }

    /// The value, else `default`. An invalid value ends in refusal, so its replacement has no effect.
    pub(super) fn unwrap_or(self, default: T) -> T {
        self.valid().unwrap_or(default)
    }

    /// Maps a valid value; `None` makes it invalid.
    pub(super) fn checked<U>(self, check: impl FnOnce(T) -> Option<U>) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Invalid => Field::Invalid,
            Self::Valid(value) => check(value).map_or(Field::Invalid, Field::Valid),
        }
    }
}
