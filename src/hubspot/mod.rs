//! HubSpot as the bridge sees it.

pub mod settings;
