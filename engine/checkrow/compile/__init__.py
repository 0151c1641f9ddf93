"""Typed trees and kernels become driver modules: generated, content-addressed, cached, mapped back to user lines."""
