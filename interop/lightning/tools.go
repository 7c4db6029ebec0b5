//go:build tools

// Package tools names the programs that interop/run builds.
package tools

import (
    _ "github.com/btcsuite/btcd"
    _ "github.com/lightninglabs/aperture/cmd/aperture"
    _ "github.com/lightningnetwork/lnd/cmd/lncli"
    _ "github.com/lightningnetwork/lnd/cmd/lnd"
)
