//! The machine codes of x402, spelled as npm `@x402/evm` 2.27 emits them.
//!
//! They travel in `error`, `invalidReason` and `errorReason`. A peer's unknown code is kept as
//! text and never interpreted.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal),+ $(,)?) => {
        /// Why a payment was refused, or is not decided.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name),+
        }

        impl Reason {
            /// Every reason, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code on the wire.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code),+
                }
            }

            /// The reason that a code on the wire stands for, where it is one of ours.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|r| r.code() == code)
            }
        }
    };
}

reasons! {
    /// The first challenge: nothing was presented.
    PaymentRequired = "Payment required",
    /// `accepted` is no offer of this route.
    NoMatchingRequirements = "No matching payment requirements",
    /// The body is not what its scheme says.
    InvalidPayload = "invalid_payload",
    /// The offer is not what its scheme says.
    InvalidPaymentRequirements = "invalid_payment_requirements",
    /// The protocol version is not ours.
    InvalidX402Version = "invalid_x402_version",
    /// A chain that we do not serve.
    InvalidNetwork = "invalid_network",
    /// A scheme that we do not serve.
    UnsupportedScheme = "unsupported_scheme",
    /// A transfer method that we do not serve.
    UnsupportedPayloadType = "unsupported_payload_type",
    /// Scheme is not `exact`.
    InvalidExactEvmScheme = "invalid_exact_evm_scheme",
    /// Chain of the credential is not the offer's.
    NetworkMismatch = "invalid_exact_evm_network_mismatch",
    /// `extra.name` or `extra.version` is missing.
    MissingEip712Domain = "invalid_exact_evm_missing_eip712_domain",
    /// The authorization pays somebody else.
    RecipientMismatch = "invalid_exact_evm_recipient_mismatch",
    /// The signature is not the payer's.
    InvalidSignature = "invalid_exact_evm_signature",
    /// The signature has no known form.
    SignatureUnreadable = "invalid_exact_evm_failed_to_parse_signature",
    /// Expired, or about to.
    ValidBefore = "invalid_exact_evm_payload_authorization_valid_before",
    /// Not valid yet.
    ValidAfter = "invalid_exact_evm_payload_authorization_valid_after",
    /// The authorization is over another amount.
    ValueMismatch = "invalid_exact_evm_payload_authorization_value_mismatch",
    /// The asset is no contract.
    AssetNotContract = "asset_not_deployed_contract",
    /// The token knows no EIP-3009.
    Eip3009NotSupported = "invalid_exact_evm_eip3009_not_supported",
    /// The authorization was used or cancelled on chain.
    NonceAlreadyUsed = "invalid_exact_evm_nonce_already_used",
    /// The payer cannot cover it.
    InsufficientBalance = "invalid_exact_evm_insufficient_balance",
    /// The token's name is not the offer's.
    TokenNameMismatch = "invalid_exact_evm_token_name_mismatch",
    /// The token's version is not the offer's.
    TokenVersionMismatch = "invalid_exact_evm_token_version_mismatch",
    /// The transfer would revert, nobody can say why.
    SimulationFailed = "invalid_exact_evm_transaction_simulation_failed",
    /// The transfer reverted.
    TransactionFailed = "invalid_exact_evm_transaction_failed",
    /// It succeeded, but moved no money.
    TransferEventMismatch = "invalid_exact_evm_transfer_event_mismatch",
    /// A wallet that does not exist on chain yet.
    UndeployedSmartWallet = "invalid_exact_evm_payload_undeployed_smart_wallet",
    /// The factory of a counterfactual wallet is not one that may deploy it here.
    FactoryNotAllowed = "eip6492_factory_not_allowed",
    /// The factory did not deploy the wallet.
    DeploymentFailed = "smart_wallet_deployment_failed",
    /// On Solana: the scheme is not `exact`.
    SvmUnsupportedScheme = "invalid_exact_svm_unsupported_scheme",
    /// On Solana: the chain of the credential is not the offer's.
    SvmNetworkMismatch = "invalid_exact_svm_network_mismatch",
    /// `extra.feePayer` is missing.
    SvmMissingFeePayer = "invalid_exact_svm_payload_missing_fee_payer",
    /// The fee payer of the offer is none of ours.
    SvmFeePayerNotManaged = "invalid_exact_svm_fee_payer_not_managed_by_facilitator",
    /// The transaction is not one that pays, for instance because of where it looks up accounts.
    SvmTransaction = "invalid_exact_svm_payload_transaction",
    /// The transaction cannot be read.
    SvmTransactionUnreadable = "invalid_exact_svm_payload_transaction_could_not_be_decoded",
    /// A signature of the transaction is not its signer's.
    SvmInvalidSignature = "invalid_exact_svm_payload_signature_invalid",
    /// More signers than payer and fee payer.
    SvmExcessiveSigners = "invalid_exact_svm_payload_excessive_signers",
    /// The transaction's fee payer is not the offer's.
    SvmFeePayerMismatch = "invalid_exact_svm_fee_payer_mismatch",
    /// Too few or too many instructions.
    SvmInstructionsLength = "invalid_exact_svm_payload_transaction_instructions_length",
    /// The first instruction does not set the limit of compute units.
    SvmComputeLimit = "invalid_exact_svm_payload_transaction_instructions_compute_limit_instruction",
    /// It sets a higher one than we pay for.
    SvmComputeLimitTooHigh =
        "invalid_exact_svm_payload_transaction_instructions_compute_limit_instruction_too_high",
    /// The second instruction does not set the price of a compute unit.
    SvmComputePrice = "invalid_exact_svm_payload_transaction_instructions_compute_price_instruction",
    /// It sets a higher one than we pay.
    SvmComputePriceTooHigh =
        "invalid_exact_svm_payload_transaction_instructions_compute_price_instruction_too_high",
    /// The third instruction moves no tokens.
    SvmNoTransfer = "invalid_exact_svm_payload_no_transfer_instruction",
    /// The fourth instruction belongs to no program that may stand there.
    SvmUnknownFourth = "invalid_exact_svm_payload_unknown_fourth_instruction",
    /// The fifth instruction belongs to no program that may stand there.
    SvmUnknownFifth = "invalid_exact_svm_payload_unknown_fifth_instruction",
    /// The sixth instruction belongs to no program that may stand there.
    SvmUnknownSixth = "invalid_exact_svm_payload_unknown_sixth_instruction",
    /// The seventh instruction belongs to no program that may stand there.
    SvmUnknownSeventh = "invalid_exact_svm_payload_unknown_seventh_instruction",
    /// A later instruction belongs to no program that may stand there.
    SvmUnknownOptional = "invalid_exact_svm_payload_unknown_optional_instruction",
    /// A fee payer of ours would move its own tokens.
    SvmFeePayerTransfers =
        "invalid_exact_svm_payload_transaction_fee_payer_transferring_funds",
    /// The transfer is of another mint.
    SvmMintMismatch = "invalid_exact_svm_payload_mint_mismatch",
    /// The transfer pays somebody else.
    SvmRecipientMismatch = "invalid_exact_svm_payload_recipient_mismatch",
    /// The transfer is over another amount.
    SvmAmountMismatch = "invalid_exact_svm_payload_amount_mismatch",
    /// The memo is not the offer's.
    SvmMemoMismatch = "invalid_exact_svm_payload_memo_mismatch",
    /// No memo, or more than one, where the offer asks for one.
    SvmMemoCount = "invalid_exact_svm_payload_memo_count",
    /// The fee payer cannot pay for it.
    SvmInvalidFeePayer = "invalid_exact_svm_invalid_fee_payer",
    /// The fee payer could not sign.
    SvmSigningFailed = "invalid_exact_svm_transaction_signing_failed",
    /// The chain would not carry it out.
    SvmSimulationFailed = "invalid_exact_svm_transaction_simulation_failed",
    /// It could not be verified.
    SvmVerificationFailed = "invalid_exact_svm_verification_failed",
    /// The chain has carried it out without success.
    SvmTransactionFailed = "invalid_exact_svm_transaction_failed",
    /// The same message is being settled for somebody else.
    DuplicateSettlement = "duplicate_settlement",
    /// The transaction is in no state from which it can be settled.
    InvalidTransactionState = "invalid_transaction_state",
    /// Sent and not decided: the only failure that is not one.
    SettlementPending = "settlement_pending",
    /// Our own: this identity has been used for something else, or was delivered.
    AlreadyUsed = "payment_already_used",
    /// Our own: this identity is being served at this moment.
    InFlight = "payment_in_flight",
    /// We could not verify; nothing is known about the credential.
    UnexpectedVerify = "unexpected_verify_error",
    /// We could not settle; nothing was sent.
    UnexpectedSettle = "unexpected_settle_error",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
#[path = "reason_tests.rs"]
mod tests;
