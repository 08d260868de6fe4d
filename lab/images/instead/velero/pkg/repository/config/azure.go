package config

import "errors"

// GetAzureResticEnvVars has none: this program was built without Azure.
func GetAzureResticEnvVars(map[string]string) (map[string]string, error) {
	return nil, errors.New("built without Azure")
}
