// Package register has the provider that a lab uses.
package register

import _ "github.com/external-secrets/external-secrets/pkg/provider/vault"
