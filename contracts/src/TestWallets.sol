// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.30;

import {SmartWallet} from "./SmartWallet.sol";

// For tests only: payers and factories that misbehave, and one factory that does not.

/// An ERC-1271 account that burns all the gas it is given.
contract BurningWallet {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        assembly ("memory-safe") {
            invalid()
        }
    }
}

/// An ERC-1271 account that accepts everything, in an answer of 1 MB. Whatever else it is asked, it answers the same.
contract FloodingWallet {
    uint256 private constant ANSWER_BYTES = 1 << 20;

    fallback() external {
        bytes4 magic = 0x1626ba7e;
        // Memory-safe: it leaves at once.
        assembly ("memory-safe") {
            let answer := mload(0x40)
            mstore(answer, magic)
            return(answer, ANSWER_BYTES)
        }
    }
}

/// An ERC-1271 account that accepts everything until somebody calls `turn`, and then nothing.
contract ChangingWallet {
    bool public refuses;

    function turn() external {
        refuses = !refuses;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        return refuses ? bytes4(0xffffffff) : bytes4(0x1626ba7e);
    }
}

/// An ERC-1271 account that accepts everything as long as nobody pays for gas, which is so in a call that
/// names no price, and burns all its gas in a transaction.
contract TwoFacedWallet {
    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        if (tx.gasprice == 0) return 0x1626ba7e;
        assembly ("memory-safe") {
            invalid()
        }
    }
}

/// Deploys a `SmartWallet` at an address that is known before.
contract WalletFactory {
    function deploy(address owner, bytes32 salt) external returns (address) {
        return address(new SmartWallet{salt: salt}(owner));
    }

    function walletOf(address owner, bytes32 salt) external view returns (address) {
        bytes32 code = keccak256(abi.encodePacked(type(SmartWallet).creationCode, abi.encode(owner)));
        return address(uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), salt, code)))));
    }
}

/// A factory that burns all the gas it is given.
contract BurningFactory {
    fallback() external {
        assembly ("memory-safe") {
            invalid()
        }
    }
}
