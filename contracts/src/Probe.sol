// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.30;

/// Tries a wallet's payment without making it. It is never deployed.
///
/// Used by `eth_call` without `to`, as `Lens` is. It deploys the wallet if it has no code and a factory is named
/// (ERC-6492), asks the wallet whether it accepts the signature (ERC-1271), and lets the token make the transfer,
/// each with a gas limit of its own and without copying more than a word, or the token's words of refusal up to
/// a limit. The answer is four words and those words: the size of the payer's code before and after, whether it
/// accepts the signature (0 or 1), and whether the transfer was made (0 or 1; it is not tried where the wallet
/// does not accept). It begins with zero bytes, so that it is no forbidden code (EIP-3541).
contract Probe {
    uint256 private constant MAX_REASON_BYTES = 512;
    bytes4 private constant ERC1271_MAGIC = 0x1626ba7e;

    struct Wallet {
        address payer;
        uint256 gasLimit;
        /// `isValidSignature(digest, signature)`
        bytes question;
    }

    struct Deployment {
        /// Zero: nothing is to be deployed.
        address factory;
        uint256 gasLimit;
        bytes data;
    }

    struct Transfer {
        address token;
        uint256 gasLimit;
        bytes data;
    }

    constructor(Wallet memory wallet, Deployment memory deployment, Transfer memory transfer) {
        uint256 sizeBefore = wallet.payer.code.length;
        if (sizeBefore == 0 && deployment.factory != address(0)) {
            callBounded(deployment.factory, deployment.gasLimit, deployment.data);
        }
        uint256 sizeAfter = wallet.payer.code.length;
        bool accepted = sizeAfter != 0 && accepts(wallet);
        bool transferred = accepted && callBounded(transfer.token, transfer.gasLimit, transfer.data);
        bool hasReason = accepted && !transferred;
        // Memory-safe: writes above the free pointer and leaves at once. What was returned last is the token's
        // refusal exactly where the transfer was tried and failed.
        assembly ("memory-safe") {
            let answer := mload(0x40)
            mstore(answer, sizeBefore)
            mstore(add(answer, 32), sizeAfter)
            mstore(add(answer, 64), accepted)
            mstore(add(answer, 96), transferred)
            let size := 0
            if hasReason {
                size := returndatasize()
                if gt(size, MAX_REASON_BYTES) { size := MAX_REASON_BYTES }
                returndatacopy(add(answer, 128), 0, size)
            }
            return(answer, add(128, size))
        }
    }

    function accepts(Wallet memory wallet) private view returns (bool) {
        (address payer, uint256 gasLimit, bytes memory question) = (wallet.payer, wallet.gasLimit, wallet.question);
        bytes32 word;
        bool answered;
        // Memory-safe: reads `question`, writes the scratch space only.
        assembly ("memory-safe") {
            answered := staticcall(gasLimit, payer, add(question, 32), mload(question), 0, 32)
            answered := and(answered, gt(returndatasize(), 31))
            word := mload(0)
        }
        return answered && word == bytes32(ERC1271_MAGIC);
    }

    function callBounded(address target, uint256 gasLimit, bytes memory data) private returns (bool success) {
        // Memory-safe: reads `data` and writes nothing.
        assembly ("memory-safe") {
            success := call(gasLimit, target, 0, add(data, 32), mload(data), 0, 0)
        }
    }
}
