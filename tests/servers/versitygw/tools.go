// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Pins the S3 server that the tests run; scripts/bootstrap builds it.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
