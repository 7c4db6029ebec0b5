//go:build tools

// Package pebble names the programs that `interop/run` builds, so that their versions are locked here.
package pebble

import _ "github.com/letsencrypt/pebble/v2/cmd/pebble"
import _ "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv"
