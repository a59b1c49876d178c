// Package local carries out trials on this host: it makes what a trial needs
// fresh, starts it through package runtimes, and reads what it did.
package local
