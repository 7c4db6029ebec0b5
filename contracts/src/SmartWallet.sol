// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.30;

/// The smallest ERC-1271 account, for tests: it accepts what one key signed.
///
/// Deployed with an owner it is a contract wallet. Deployed with the zero address it is a delegate
/// for EIP-7702 accounts: the key is then the account's own.
contract SmartWallet {
    address public immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (signature.length != 65) return 0xffffffff;
        address key = owner == address(0) ? address(this) : owner;
        address signer =
            ecrecover(digest, uint8(signature[64]), bytes32(signature[0:32]), bytes32(signature[32:64]));
        return signer == key ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}
