// Package gcp has no clients: this program was built without them.
package gcp

import (
	"context"
	"errors"
	"flag"

	"github.com/grafana/loki/v3/pkg/storage/chunk/client"
	"github.com/grafana/loki/v3/pkg/storage/chunk/client/hedging"
	"github.com/grafana/loki/v3/pkg/storage/config"
	"github.com/grafana/loki/v3/pkg/storage/stores/series/index"
)

var errBuiltWithout = errors.New("built without Google's stores")

// Config has no settings.
type Config struct {
	DistributeKeys bool `yaml:"-"`
}

// RegisterFlags registers none.
func (*Config) RegisterFlags(*flag.FlagSet) {}

// Validate finds nothing wrong.
func (*Config) Validate() error { return nil }

// GCSConfig has no settings of its own.
type GCSConfig struct {
	EnableRetries bool `yaml:"-"`
}

// RegisterFlags registers none.
func (*GCSConfig) RegisterFlags(*flag.FlagSet) {}

// RegisterFlagsWithPrefix registers none.
func (*GCSConfig) RegisterFlagsWithPrefix(string, *flag.FlagSet) {}

// NewStorageClientV1 makes none.
func NewStorageClientV1(context.Context, Config, config.SchemaConfig) (index.Client, error) {
	return nil, errBuiltWithout
}

// NewStorageClientColumnKey makes none.
func NewStorageClientColumnKey(context.Context, Config, config.SchemaConfig) (index.Client, error) {
	return nil, errBuiltWithout
}

// NewBigtableObjectClient makes none.
func NewBigtableObjectClient(context.Context, Config, config.SchemaConfig) (client.Client, error) {
	return nil, errBuiltWithout
}

// NewTableClient makes none.
func NewTableClient(context.Context, Config) (index.TableClient, error) {
	return nil, errBuiltWithout
}

// NewGCSObjectClient makes none.
func NewGCSObjectClient(context.Context, GCSConfig, hedging.Config) (client.ObjectClient, error) {
	return nil, errBuiltWithout
}

// IsRetryableErr never is: nothing was tried.
func IsRetryableErr(error) bool { return false }
