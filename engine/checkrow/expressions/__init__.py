"""What users write: expression trees and kernel records, as pure data."""
