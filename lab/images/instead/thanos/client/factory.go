// Package client makes clients of object stores: of folders only.
package client

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/go-kit/log"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"
	"gopkg.in/yaml.v2"
)

// BucketConfig is the configuration of a bucket.
type BucketConfig struct {
	Type   objstore.ObjProvider `yaml:"type"`
	Config any                  `yaml:"config"`
	Prefix string               `yaml:"prefix"`
}

// NewBucket returns the bucket that the YAML text describes.
func NewBucket(logger log.Logger, text []byte, component string, wrap func(http.RoundTripper) http.RoundTripper) (objstore.Bucket, error) {
	config := &BucketConfig{}
	if err := yaml.UnmarshalStrict(text, config); err != nil {
		return nil, err
	}
	return NewBucketFromConfig(logger, config, component, wrap)
}

// NewBucketFromConfig returns the bucket that config describes.
func NewBucketFromConfig(_ log.Logger, config *BucketConfig, _ string, _ func(http.RoundTripper) http.RoundTripper) (objstore.Bucket, error) {
	if !strings.EqualFold(string(config.Type), string(objstore.FILESYSTEM)) {
		return nil, fmt.Errorf("built without object stores: %s", config.Type)
	}
	options, err := yaml.Marshal(config.Config)
	if err != nil {
		return nil, err
	}
	bucket, err := filesystem.NewBucketFromConfig(options)
	if err != nil {
		return nil, err
	}
	return objstore.NewPrefixedBucket(bucket, config.Prefix), nil
}
