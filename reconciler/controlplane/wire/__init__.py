"""The protobuf encoding that kubectl's typed commands send."""
