//! CAIP-2 and CAIP-19: what is read is written the same, an asset in one spelling.
#![no_main]

use farebox_wire::caip::{AssetId, ChainId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<ChainId>() {
        Ok(chain) => {
            assert_eq!(chain.as_str(), text);
            assert_eq!(format!("{}:{}", chain.namespace(), chain.reference()), text);
            if let Some(number) = chain.as_eip155() {
                assert_eq!(ChainId::eip155(number), chain);
            }
        }
        Err(error) => assert!(error.to_string().len() < 1000),
    }
    match text.parse::<AssetId>() {
        Ok(asset) => assert_eq!(asset.to_string().parse(), Ok(asset)),
        Err(error) => assert!(error.to_string().len() < 2000),
    }
});
