"""HotWax over its HTTP APIs: Moqui's, and OFBiz's for what Moqui does not give."""
