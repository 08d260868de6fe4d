//go:build minimal

package command

import physFile "github.com/hashicorp/vault/sdk/physical/file"

// extendAddonHandlers adds storage in files.
func extendAddonHandlers(handlers *vaultHandlers) {
	handlers.physicalBackends["file"] = physFile.NewFileBackend
}
