// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.30;

/// Carries out signed EIP-3009 payments: many in one transaction, or one whose wallet must be deployed first.
///
/// Anybody may call it, because there is nothing to gain: it holds no money, has no owner, no storage and no
/// approvals, and a payment goes where its payer signed it to. It writes no logs: which payments were made
/// is told by the token's own logs. It must never be given tokens or allowances, which anybody could take.
contract Settler {
    /// from(20) to(20) value(16) validAfter(8) validBefore(8) nonce(32) v(1) r(32) s(32)
    uint256 private constant RECORD_BYTES = 169;
    /// What stands between the check of the gas left and the call's own share of it: a cold account (2,600)
    /// and the instructions that push the call's arguments.
    uint256 private constant CALL_OVERHEAD_GAS = 3_000;
    /// The token's words of refusal are passed on up to this length, so that nobody pays for more.
    uint256 private constant MAX_REASON_BYTES = 512;

    /// The payments are not a whole number of records.
    error BrokenRecord();
    /// Less gas is left than the next call was promised.
    error TooLittleGas();

    /// Makes each payment with exactly `gasEach` gas. One that fails changes nothing for the others.
    ///
    /// Reverts as a whole if a call could not be given its gas. Otherwise a payment could fail for the caller's
    /// thrift and look as if the payer were to blame.
    function settle(address token, uint256 gasEach, bytes calldata payments) external {
        if (payments.length % RECORD_BYTES != 0) revert BrokenRecord();
        uint256 needed = gasFor(gasEach);
        bytes4 tooLittleGas = TooLittleGas.selector;
        // Memory-safe: only memory above the free pointer is written, and nothing else is allocated meanwhile.
        // Reads of calldata stay within `payments`, whose bounds the ABI decoder has checked, because its length
        // is a multiple of the record's. Every word of the call is written anew for each record, so nothing of
        // one payment is left in the next. Shifts leave the narrow fields with zero high bits, as the ABI wants.
        assembly ("memory-safe") {
            let data := mload(0x40)
            // transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)
            mstore(data, shl(224, 0xe3ee160e))
            let end := add(payments.offset, payments.length)
            for { let record := payments.offset } lt(record, end) { record := add(record, RECORD_BYTES) } {
                mstore(add(data, 4), shr(96, calldataload(record)))
                mstore(add(data, 36), shr(96, calldataload(add(record, 20))))
                mstore(add(data, 68), shr(128, calldataload(add(record, 40))))
                mstore(add(data, 100), shr(192, calldataload(add(record, 56))))
                mstore(add(data, 132), shr(192, calldataload(add(record, 64))))
                mstore(add(data, 164), calldataload(add(record, 72)))
                mstore(add(data, 196), byte(0, calldataload(add(record, 104))))
                calldatacopy(add(data, 228), add(record, 105), 64)
                if lt(gas(), needed) {
                    mstore(0, tooLittleGas)
                    revert(0, 4)
                }
                // Success is not looked at and nothing is copied back, however much is returned.
                pop(call(gasEach, token, 0, data, 292, 0, 0))
            }
        }
    }

    /// Deploys a payer's wallet and makes its payment (ERC-6492). Reverts if the payment fails.
    ///
    /// The factory's answer is not looked at: the wallet may be there already, and if it is not, the token
    /// refuses the signature. It is called from here so that it never meets the one who pays for the gas.
    function settleCounterfactual(
        address factory,
        uint256 factoryGas,
        bytes calldata factoryData,
        address token,
        uint256 transferGas,
        bytes calldata transferCall
    ) external {
        callBounded(factory, factoryGas, factoryData);
        if (callBounded(token, transferGas, transferCall)) return;
        // Memory-safe: writes above the free pointer and leaves at once.
        assembly ("memory-safe") {
            let size := returndatasize()
            if gt(size, MAX_REASON_BYTES) { size := MAX_REASON_BYTES }
            let reason := mload(0x40)
            returndatacopy(reason, 0, size)
            revert(reason, size)
        }
    }

    /// Calls with exactly this gas and copies no answer.
    function callBounded(address target, uint256 gasLimit, bytes calldata data) private returns (bool success) {
        if (gasleft() < gasFor(gasLimit) + copyGas(data.length)) revert TooLittleGas();
        // Memory-safe: writes above the free pointer only.
        assembly ("memory-safe") {
            let copy := mload(0x40)
            calldatacopy(copy, data.offset, data.length)
            success := call(gasLimit, target, 0, copy, data.length, 0, 0)
        }
    }

    /// What must be left so that a call really gets `gasEach`: a sixty-fourth stays behind (EIP-150).
    /// Checked arithmetic: a limit that overflows reverts and does not become a small one.
    function gasFor(uint256 gasEach) private pure returns (uint256) {
        return gasEach + gasEach / 63 + CALL_OVERHEAD_GAS;
    }

    /// The most that copying this many bytes to new memory costs (EVM: 3 a word to copy, 3 + words/512 a word
    /// of memory).
    function copyGas(uint256 size) private pure returns (uint256) {
        uint256 words = size / 32 + 32;
        return 6 * words + (words * words) / 512;
    }
}
