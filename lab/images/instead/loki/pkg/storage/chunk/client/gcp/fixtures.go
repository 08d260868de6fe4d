package gcp
