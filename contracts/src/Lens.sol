// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.30;

/// Reads what a payment needs to know of many payers at one block. It is never deployed.
///
/// Used by `eth_call` without `to`: the data is this creation code and `abi.encode(address token, bytes queries)`
/// behind it, and what the constructor returns in place of code is the answer. A query is payer(20) nonce(32).
/// The answer is one word, the size of the token's code, and per query three: the size of the payer's code
/// (23 for an EIP-7702 delegation), its balance, and whether the authorization is used (0, 1, or 2 where the
/// token does not answer). It begins with zero bytes, so that it is no forbidden code (EIP-3541), and may have
/// 24,576 bytes (EIP-170), so that at most 255 queries fit.
contract Lens {
    uint256 private constant QUERY_BYTES = 52;

    /// The queries are not a whole number of records.
    error BrokenQuery();
    /// The token does not tell a balance, which must not look like an empty account.
    error NoBalance();

    constructor(address token, bytes memory queries) {
        if (queries.length % QUERY_BYTES != 0) revert BrokenQuery();
        uint256 count = queries.length / QUERY_BYTES;
        bool answered = true;
        // Memory-safe: what is read is `queries`; what is written is the scratch space and memory above the free
        // pointer, where the answer is built and then returned. A call's answer is taken only where it has at
        // least a word (arguments are evaluated from the last to the first, so the call comes before the look at
        // its size); more than a word is never copied.
        assembly ("memory-safe") {
            let answer := mload(0x40)
            let ask := add(answer, add(32, mul(count, 96)))
            let exists := extcodesize(token)
            mstore(answer, exists)
            let out := add(answer, 32)
            let query := add(queries, 32)
            for { let end := add(query, mload(queries)) } lt(query, end) { query := add(query, QUERY_BYTES) } {
                let payer := shr(96, mload(query))
                mstore(out, extcodesize(payer))
                mstore(add(out, 32), 0)
                mstore(add(out, 64), 2)
                if exists {
                    mstore(ask, shl(224, 0x70a08231)) // balanceOf(address)
                    mstore(add(ask, 4), payer)
                    if iszero(and(gt(returndatasize(), 31), staticcall(gas(), token, ask, 36, 0, 32))) {
                        answered := 0
                        break
                    }
                    mstore(add(out, 32), mload(0))
                    mstore(ask, shl(224, 0xe94a0102)) // authorizationState(address,bytes32)
                    mstore(add(ask, 4), payer)
                    mstore(add(ask, 36), mload(add(query, 20)))
                    if and(gt(returndatasize(), 31), staticcall(gas(), token, ask, 68, 0, 32)) {
                        mstore(add(out, 64), iszero(iszero(mload(0))))
                    }
                }
                out := add(out, 96)
            }
            if answered { return(answer, sub(out, answer)) }
        }
        revert NoBalance();
    }
}
